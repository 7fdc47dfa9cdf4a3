import { jsonText } from '../../../src/catalog/json-rules.ts';
import type { TarEntry } from '../../registry/fixtures.ts';
import { layerOf, pushCrafted } from './crafted-images.ts';
import { climbing, file, type HostileCase, laughs, type Make, nested, noise, type Stage } from './hostile-case.ts';

const fragment = (name: string, reason: RegExp, make: Make): HostileCase => ({
  name: `fragment: ${name}`,
  route: 'fbc-operations',
  reason,
  body: async (stage) => ({ fbc_fragment: await make(stage) }),
});

const fragmentOf =
  (entries: (stage: Stage) => TarEntry[]): Make =>
  async (stage) =>
    pushCrafted(stage.client, stage.ref(), { layers: [await layerOf(entries(stage))] });

const fragmentFile = (content: string | Buffer, name = 'catalog.json'): Make =>
  fragmentOf(() => [file(`configs/beacon/${name}`, content)]);

const blobs = (...documents: object[]): Make => fragmentFile(jsonText(documents));

const olmPackage = (name = 'beacon') => ({ schema: 'olm.package', name, defaultChannel: 'stable' });
const olmChannel = (entries: unknown = [{ name: 'beacon.v1.0.0' }]) => ({
  schema: 'olm.channel',
  package: 'beacon',
  name: 'stable',
  entries,
});
const olmBundle = (version = '1.0.0', name = `beacon.v${version}`) => ({
  schema: 'olm.bundle',
  package: 'beacon',
  name,
  image: `example.com/beacon@sha256:${'1'.repeat(64)}`,
  properties: [{ type: 'olm.package', value: { packageName: 'beacon', version } }],
});
const soundFragment = jsonText([olmPackage(), olmChannel(), olmBundle()]);

const deepJson = (levels: number) => `{"schema":"olm.package","name":"beacon","x":${nested(levels)}}`;
const deepYaml = `schema: olm.package\nname: beacon\nx: ${nested(10_000)}\n`;

/** Fragments that no index may get; each for a reason of its own. */
export const HOSTILE_FRAGMENTS: HostileCase[] = [
  fragment(
    'a path that climbs out',
    /whose path is not below its root/,
    fragmentOf(({ forbidden }) => [
      file('configs/beacon/catalog.json', soundFragment),
      file(`configs/${climbing(forbidden)}`),
    ]),
  ),
  fragment(
    '/configs is a link',
    /configs\/configs is a symbolic link to \/, which is not a file$/,
    fragmentOf(() => [{ name: 'configs', type: 'symlink', linkname: '/' }]),
  ),
  ...['.git', '-rf', 'b'.repeat(254)].map((name) =>
    fragment(
      `a package called ${name.slice(0, 20)}`,
      /valid package name/,
      fragmentOf(() => [file(`configs/${name}/catalog.json`, soundFragment)]),
    ),
  ),
  fragment(
    'a repository of git in a package',
    /beacon\/\.git, which would hide/,
    fragmentOf(() => [
      file('configs/beacon/catalog.json', soundFragment),
      file('configs/beacon/.git/HEAD', 'ref: refs/heads/main\n'),
      file('configs/beacon/.git/config', '[core]\n\tfsmonitor = "touch escaped"\n'),
      { name: 'configs/beacon/.git/objects', type: 'directory' },
      { name: 'configs/beacon/.git/refs', type: 'directory' },
    ]),
  ),
  fragment(
    'nothing but ignored files',
    /beacon\/\.indexignore, which would hide/,
    fragmentOf(() => [file('configs/beacon/catalog.json', soundFragment), file('configs/beacon/.indexignore', '*\n')]),
  ),
  fragment('an empty catalog', /folder beacon defines no package/, fragmentFile('')),
  fragment('garbage as a catalog', /catalog file .* is not valid/, fragmentFile(noise(5000))),
  fragment('a catalog that breaks off', /The catalog file .* is not valid/, fragmentFile(soundFragment.slice(0, -20))),
  fragment(
    'a YAML catalog nested 10,000 levels',
    /catalog file .* is not valid: .*exceeded max depth/,
    fragmentFile(deepYaml, 'catalog.yaml'),
  ),
  fragment(
    'a YAML alias bomb',
    /catalog file .* is not valid: .*document contains excessive aliasing/,
    fragmentFile(laughs('schema: olm.package\nname: beacon'), 'catalog.yaml'),
  ),
  fragment(
    'wrong types',
    /The catalog file .* is not valid/,
    blobs(olmPackage(), olmChannel('all of them'), olmBundle()),
  ),
  fragment('a channel without package', /defines no package/, blobs(olmChannel(), olmBundle())),
  fragment(
    'an entry that replaces itself',
    /invalid index/,
    blobs(olmPackage(), olmChannel([{ name: 'beacon.v1.0.0', replaces: 'beacon.v1.0.0' }]), olmBundle()),
  ),
  fragment(
    "another package's name",
    /duplicate package/,
    fragmentFile(soundFragment.replaceAll('beacon', 'lighthouse')),
  ),
];

/** More of the same kinds, for the soak. */
export const FURTHER_FRAGMENTS: HostileCase[] = [
  fragment(
    'a package that is a link',
    /configs\/beacon is a symbolic link to \/etc, which is not in the image$/,
    fragmentOf(() => [{ name: 'configs/beacon', type: 'symlink', linkname: '/etc' }]),
  ),
  fragment('a catalog nested a million levels', /exceeded max depth/, fragmentFile(deepJson(1_000_000))),
  fragment(
    'a version that is none',
    /No Major\.Minor\.Patch elements found/,
    blobs(olmPackage(), olmChannel([{ name: 'beacon.x' }]), olmBundle('not-a-version', 'beacon.x')),
  ),
  fragment(
    'a catalog that is a link',
    /catalog\.json is a symbolic link to \/etc\/passwd, which is not in the image$/,
    fragmentOf(() => [{ name: 'configs/beacon/catalog.json', type: 'symlink', linkname: '/etc/passwd' }]),
  ),
  fragment(
    'a folder without package',
    /defines no package|cannot unmarshal/,
    fragmentOf(() => [file('configs/beacon/README', 'nothing')]),
  ),
  fragment('garbage as YAML', /catalog file .* is not valid/, fragmentFile(noise(5000), 'catalog.yaml')),
  fragment('a catalog nested 10,000 levels', /exceeded max depth/, fragmentFile(deepJson(10_000))),
  fragment('a schema that is no text', /The catalog file .* is not valid/, blobs({ schema: ['olm.package'] })),
  fragment('a list in place of blobs', /The catalog file .* is not valid/, fragmentFile('[1, 2, 3]')),
  fragment('the package twice', /duplicate package/, blobs(olmPackage(), olmPackage(), olmChannel(), olmBundle())),
  fragment('a bundle twice', /has duplicate bundle/, blobs(olmPackage(), olmChannel(), olmBundle(), olmBundle())),
  fragment(
    'entries that replace each other',
    /invalid index/,
    blobs(
      olmPackage(),
      olmChannel([
        { name: 'beacon.v1.0.0', replaces: 'beacon.v2.0.0' },
        { name: 'beacon.v2.0.0', replaces: 'beacon.v1.0.0' },
      ]),
      olmBundle(),
      olmBundle('2.0.0'),
    ),
  ),
  fragment(
    'a bundle without properties',
    /must have exactly 1 .olm\.package. property/,
    blobs(olmPackage(), olmChannel(), { ...olmBundle(), properties: [] }),
  ),
  fragment(
    'deprecations that are a link',
    /_operator-deprecations-content is a symbolic link to \/etc, which is not in the image$/,
    fragmentOf(() => [
      file('configs/beacon/catalog.json', soundFragment),
      { name: 'configs/_operator-deprecations-content', type: 'symlink', linkname: '/etc' },
    ]),
  ),
];

import { createHash } from 'node:crypto';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { MEDIA } from '../../../src/registry/manifest.ts';
import { nameOf } from '../../../src/registry/pull-spec.ts';
import { type TarEntry, tarOf } from '../../registry/fixtures.ts';
import { bundleLabels, bundleText, fileEntries, layerOf, pushCrafted, pushManifest } from './crafted-images.ts';
import { climbing, file, type HostileCase, laughs, type Make, nested, noise, type Stage } from './hostile-case.ts';

const sound = (operator = 'victim') => fileEntries(bundleText({ operator }));

const adding = (name: string, reason: RegExp, ...makes: Make[]): HostileCase => ({
  name: `bundle: ${name}`,
  route: 'add',
  reason,
  async body(stage) {
    const bundles: string[] = [];
    for (const make of makes) bundles.push(await make(stage));
    return { bundles };
  },
});

/** What opm takes, since it stays inside the image's root. */
const harmless = (name: string, ...makes: Make[]): HostileCase => ({
  ...adding(name, /^The operator bundle\(s\) were successfully added/, ...makes),
  state: 'complete',
});

/** A bundle of these layers, as bytes. */
const bundleOf =
  (
    layers: (stage: Stage) => Promise<Buffer[]> | Buffer[],
    labels: Record<string, unknown> | Buffer = bundleLabels('victim'),
  ): Make =>
  async (stage) =>
    pushCrafted(stage.client, stage.ref(), { layers: await layers(stage), labels });

/** A bundle of one layer: a sound one and these entries after it. */
const bundleWith = (entries: (stage: Stage) => TarEntry[], labels?: Record<string, unknown>): Make =>
  bundleOf(async (stage) => [await layerOf([...sound(), ...entries(stage)])], labels);

/** A bundle that is well packed and says these things. */
const bundleSaying = (text: Parameters<typeof bundleText>[0], labels?: Record<string, unknown>): Make =>
  bundleOf(async () => [await layerOf(fileEntries(bundleText(text)))], labels ?? bundleLabels(text.operator));

/** A bundle that is well packed but for these files; `null` leaves one out. */
const bundleFiles = (files: Record<string, string | Buffer | null>, operator = 'victim'): Make =>
  bundleOf(async () => {
    const all: Record<string, string | Buffer | null> = { ...bundleText({ operator }), ...files };
    const kept = Object.entries(all).flatMap(([name, content]) => (content === null ? [] : [[name, content] as const]));
    return [await layerOf(fileEntries(Object.fromEntries(kept)))];
  }, bundleLabels(operator));

const CSV_HEAD = 'kind: ClusterServiceVersion\nmetadata:\n  name: victim.v1.0.0';

/** A tar of one file that says it is larger than any disk, with some of it. */
async function endless(name: string): Promise<Buffer> {
  const tar = await tarOf([{ name, content: Buffer.alloc(1 << 20) }]);
  tar.write(`${(9 * 2 ** 30).toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  return checksummed(tar);
}

/** With the checksum of the first header put right. */
function checksummed(tar: Buffer): Buffer {
  tar.fill(' ', 148, 156);
  const sum = tar.subarray(0, 512).reduce((total, byte) => total + byte, 0);
  tar.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return tar;
}

/** Many copies of one small file's header and content: nearly nothing when compressed. */
async function repeated(entry: TarEntry, times: number): Promise<Buffer> {
  const one = (await tarOf([entry])).subarray(0, 512 + Math.ceil(Buffer.byteLength(entry.content ?? '') / 512) * 512);
  const block = Buffer.concat(Array.from({ length: 1000 }, () => one));
  const packed = gzipSync(block, { level: 1 });
  return Buffer.concat(Array.from({ length: Math.ceil(times / 1000) }, () => packed));
}

/** Related images are looked for where a label says that the manifests are. */
const checkingImages = (name: string, reason: RegExp, manifests: string): HostileCase => {
  const labels = { ...bundleLabels('victim'), 'operators.operatorframework.io.bundle.manifests.v1': manifests };
  const made = adding(
    name,
    reason,
    bundleOf(async () => [await layerOf(sound())], labels),
  );
  return { ...made, body: async (stage) => ({ ...(await made.body(stage)), check_related_images: true }) };
};

/** Bundles that no index may get, each for a reason of its own, and such as do no harm. */
export const HOSTILE_BUNDLES: HostileCase[] = [
  // What archives may say.
  adding(
    'a path that climbs out',
    /whose path is not below its root/,
    bundleWith(({ forbidden }) => [file(climbing(forbidden))]),
  ),
  harmless(
    'an absolute path',
    bundleWith(({ forbidden }) => [file(forbidden)]),
  ),
  adding(
    'manifests is a link',
    /there is no directory \/manifests in it/,
    bundleOf(async () => [await layerOf([{ name: 'manifests', type: 'symlink', linkname: '/etc' }])]),
  ),
  adding(
    'a file through a link',
    /manifests\/out is a symbolic link to .*\/forbidden, which is not a file$/,
    bundleWith(({ forbidden }) => [
      { name: 'manifests/out', type: 'symlink', linkname: forbidden },
      file('manifests/out/escaped'),
    ]),
  ),
  adding(
    'a hard link',
    /manifests\/passwd\.yaml is a hard link to etc\/passwd, which is no file of the image$/,
    bundleWith(() => [{ name: 'manifests/passwd.yaml', type: 'link', linkname: 'etc/passwd' }]),
  ),
  adding(
    'a pipe',
    /neither a file nor a directory/,
    bundleWith(() => [{ name: 'manifests/pipe.yaml', type: 'fifo' }]),
  ),
  ...['.wh..', '.wh...'].map((name) =>
    adding(
      `a whiteout called ${name}`,
      /invalid whiteout name: \.wh\.{2,3}: invalid archive$/,
      bundleOf(async () => [await layerOf(sound()), await layerOf([file(`manifests/${name}`, '')])]),
    ),
  ),
  adding(
    'a whiteout of manifests',
    /there is no directory \/manifests/,
    bundleOf(async () => [await layerOf(sound()), await layerOf([file('.wh.manifests', '')])]),
  ),
  adding(
    'gzip that says it is larger than any disk',
    /larger than 4294967296 bytes/,
    bundleOf(async () => [gzipSync(await endless('manifests/big'), { level: 1 })]),
  ),
  adding(
    'zstd that says it is larger than any disk',
    /larger than 4294967296 bytes/,
    bundleOf(async () => [zstdCompressSync(await endless('other/big'))]),
  ),
  adding(
    'entries without end',
    /there are more than 30000 entries in it/,
    bundleOf(async () => [await repeated(file('manifests/x', ''), 31_000)]),
  ),
  // Layers that are none.
  adding(
    'garbage as a layer',
    /a layer is damaged/,
    bundleOf(() => [noise(10_000)]),
  ),
  adding(
    'a layer that breaks off',
    /damaged/,
    bundleOf(async () => [(await layerOf([...sound(), file('manifests/x', noise(9000))])).subarray(0, 4000)]),
  ),
  adding('a layer that is not what its digest says', /not what its digest says/, async (stage) => {
    const layer = await tarOf([...sound(), file('manifests/x', noise(100))]);
    const spec = await bundleOf(() => [layer])(stage);
    stage.damage(`sha256:${createHash('sha256').update(layer).digest('hex')}`);
    return spec;
  }),
  // Labels that lie.
  adding(
    'a label names another folder than the one that opm reads',
    /must not substitute for itself/,
    bundleOf(
      async () => [
        await layerOf([
          ...fileEntries(bundleText({ operator: 'victim', annotations: 'olm.substitutesFor: victim.v1.0.0' })),
          file('sound/csv.yaml', bundleText({ operator: 'victim' })['manifests/csv.yaml']),
        ]),
      ],
      { ...bundleLabels('victim'), 'operators.operatorframework.io.bundle.manifests.v1': 'sound/' },
    ),
  ),
  adding(
    'a label names a package, the annotations one that is file-based only',
    /^Bundles cannot be added to beacon/,
    bundleSaying({ operator: 'beacon' }, bundleLabels('victim')),
  ),
  adding('a package called as a path that climbs out', /is not a valid package name$/, async (stage) =>
    bundleSaying({ operator: climbing(stage.forbidden), csvName: 'victim.v1.0.0' })(stage),
  ),
  ...['..', '-rf', '_operator-deprecations-content'].map((name) =>
    adding(
      `a package called ${JSON.stringify(name).slice(0, 40)}`,
      /valid package name/,
      bundleSaying({ operator: name, csvName: 'victim.v1.0.0' }),
    ),
  ),
  // What bundles may say.
  adding(
    'no annotations',
    /there is no directory \/metadata in it/,
    bundleFiles({ 'metadata/annotations.yaml': null }),
  ),
  adding(
    'a CSV that is an alias bomb',
    /no bundle objects found/,
    bundleFiles({ 'manifests/csv.yaml': laughs(CSV_HEAD) }),
  ),
  adding(
    'a CSV nested 10,000 levels',
    /no bundle objects found/,
    bundleFiles({ 'manifests/csv.yaml': `${CSV_HEAD}\nspec: ${nested(10_000)}\n` }),
  ),
  adding(
    'a CSV of 17 MiB',
    /more than 16777216: make it smaller/,
    bundleFiles({ 'manifests/csv.yaml': `${CSV_HEAD}\nx: ${'x'.repeat(17 << 20)}\n` }),
  ),
  adding(
    'a version that is none',
    /No Major\.Minor\.Patch elements found/,
    bundleSaying({ operator: 'victim', version: 'one.two', csvName: 'victim.v1' }),
  ),
  adding(
    'a bundle that replaces itself',
    /Cycle detected, victim\.v1\.0\.0 replaces victim\.v1\.0\.0/,
    bundleSaying({ operator: 'victim', spec: 'replaces: victim.v1.0.0' }),
  ),
  adding(
    'bundles that replace each other',
    /Cycle detected/,
    bundleSaying({ operator: 'victim', version: '1.0.0', spec: 'replaces: victim.v2.0.0' }),
    bundleSaying({ operator: 'victim', version: '2.0.0', spec: 'replaces: victim.v1.0.0' }),
  ),
  adding(
    'a bundle that substitutes itself',
    /must not substitute for itself/,
    bundleSaying({ operator: 'victim', annotations: 'olm.substitutesFor: victim.v1.0.0' }),
  ),
  adding(
    'bundles that substitute each other',
    /in a circle/,
    bundleSaying({ operator: 'victim', version: '1.0.0', annotations: 'olm.substitutesFor: victim.v2.0.0' }),
    bundleSaying({ operator: 'victim', version: '2.0.0', annotations: 'olm.substitutesFor: victim.v1.0.0' }),
  ),
  adding(
    'bundles of two packages with one CSV name',
    /must belong to exactly one package/,
    bundleSaying({ operator: 'victim', csvName: 'same.v1.0.0' }),
    bundleSaying({ operator: 'other', csvName: 'same.v1.0.0' }),
  ),
  adding(
    "the CSV name of another package's bundle",
    /belongs to package lighthouse/,
    bundleSaying({ operator: 'victim', csvName: 'lighthouse.v1.0.0' }),
  ),
];

/** Files of 100 MiB of nothing, whose headers tell no lies. */
async function filling(name: string, files: number): Promise<Buffer> {
  const content = gzipSync(Buffer.alloc(100 << 20), { level: 1 });
  const members = Array.from({ length: files }, async (_, at) => {
    const header = (await tarOf([{ name: `${name}-${at}`, content: Buffer.alloc(1) }])).subarray(0, 512);
    header.write(`${(100 << 20).toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    return [gzipSync(checksummed(header)), content];
  });
  return Buffer.concat((await Promise.all(members)).flat());
}

/** More of the same kinds, for the soak. */
export const FURTHER_BUNDLES: HostileCase[] = [
  adding(
    'a character device',
    /neither a file nor a directory/,
    bundleWith(() => [{ name: 'manifests/zero.yaml', type: 'character-device', devmajor: 1, devminor: 5 }]),
  ),
  adding(
    'a path without end',
    /segments/,
    bundleWith(() => [file(`manifests/${'d/'.repeat(500)}x`)]),
  ),
  adding('a list of nothing', /manifest list of .* is empty/, ({ client, ref }) =>
    pushManifest(client, ref(), { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: [] }),
  ),
  adding(
    'a configuration that is no JSON',
    /config of .* is not valid/,
    bundleOf(async () => [await layerOf(sound())], Buffer.from('{')),
  ),
  checkingImages('manifests are everything', /src_path must name a directory under/, '/'),
  adding(
    'annotations that are a bomb',
    /Could not find annotations file/,
    bundleFiles({ 'metadata/annotations.yaml': laughs('annotations: *a9') }),
  ),
  adding('no CSV', /no csv in bundle/, bundleFiles({ 'manifests/csv.yaml': 'kind: ConfigMap\nmetadata: {name: x}\n' })),
  adding(
    'a CSV that contains itself',
    /no bundle objects found/,
    bundleFiles({ 'manifests/csv.yaml': `${CSV_HEAD}\nspec: &x {version: 1.0.0, more: *x}\n` }),
  ),
  adding(
    'files that fill the disk',
    /larger than 536870912 bytes/,
    bundleOf(async () => [await filling('manifests/x', 10)]),
  ),
  adding(
    'a layer that never ends',
    /larger than 4294967296 bytes/,
    bundleOf(async () => [await filling('other/x', 50)]),
  ),
  adding(
    'a path with NUL',
    /a layer is damaged$/,
    bundleWith(() => [{ name: 'manifests/x', pax: { path: 'manifests/a\0b' }, content: '' }]),
  ),
  adding(
    'a link to a file of ours',
    /manifests\/passwd\.yaml is a symbolic link to \/etc\/passwd, which is not in the image$/,
    bundleWith(() => [{ name: 'manifests/passwd.yaml', type: 'symlink', linkname: '/etc/passwd' }]),
  ),
  adding(
    'a block device',
    /neither a file nor a directory/,
    bundleWith(() => [{ name: 'manifests/disk.yaml', type: 'block-device', devmajor: 8, devminor: 0 }]),
  ),
  adding(
    'a name without end',
    /no file system takes/,
    bundleWith(() => [file(`manifests/${'n'.repeat(400)}`)]),
  ),
  adding(
    'garbage in gzip',
    /damaged/,
    bundleOf(() => [gzipSync(noise(10_000))]),
  ),
  adding(
    'an empty layer',
    /no directory/,
    bundleOf(() => [Buffer.alloc(0)]),
  ),
  adding(
    'no layers',
    /no layers/,
    bundleOf(() => []),
  ),
  adding(
    'labels that are no texts',
    /config of .* is not valid/,
    bundleOf(async () => [await layerOf(sound())], { a: 1 }),
  ),
  adding(
    'a configuration nested deeply',
    /config of .* is not valid/,
    bundleOf(async () => [await layerOf(sound())], Buffer.from(`${nested(100_000)}`)),
  ),
  adding('an artifact of another kind', /there is no directory|damaged/, async ({ client, ref }) => {
    const spec = ref();
    const bytes = Buffer.from('{}');
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
    await client.uploadBlob(nameOf(spec), { digest, size: 2, bytes });
    const config = { mediaType: MEDIA.empty, digest, size: 2 };
    return pushManifest(client, spec, {
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config,
      layers: [{ ...config, mediaType: 'text/plain' }],
    });
  }),
  adding(
    'no package label and no annotations',
    /there is no directory \/metadata in it/,
    bundleOf(async () => [await layerOf([file('manifests/x.yaml', 'a: 1')])], {
      'operators.operatorframework.io.bundle.manifests.v1': 'manifests/',
    }),
  ),
  checkingImages('manifests are outside of the image', /no directory \/etc in it/, '../../../etc'),
  adding(
    'annotations that are garbage',
    /Could not find annotations file/,
    bundleFiles({ 'metadata/annotations.yaml': noise(2000) }),
  ),
  adding(
    'a CSV without name',
    /csv name not found/,
    bundleFiles({ 'manifests/csv.yaml': 'kind: ClusterServiceVersion\nspec: {version: 1.0.0}\n' }),
  ),
  adding(
    'a CSV with NUL',
    /no bundle objects found|valid YAML/,
    bundleFiles({ 'manifests/csv.yaml': `${CSV_HEAD}\nspec: {version: "1.0.0\0"}\n` }),
  ),
  adding(
    'a CSV in UTF-16',
    /no bundle objects found/,
    bundleFiles({ 'manifests/csv.yaml': Buffer.from(`﻿${CSV_HEAD}`, 'utf16le') }),
  ),
  adding(
    'a version with leading zeros',
    /must not contain leading zeroes/,
    bundleSaying({ operator: 'victim', version: '01.2.3', csvName: 'victim.v1' }),
  ),
  adding(
    'a bundle that skips itself',
    /no channel head found for stable/,
    bundleSaying({ operator: 'victim', spec: 'skips: [victim.v1.0.0]' }),
  ),
];

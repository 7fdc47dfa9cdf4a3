import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeDeprecations } from '../../src/catalog/deprecations.ts';
import { assertNotCatalogOnly, emptyCatalog, mergeMigrated, removePackage } from '../../src/catalog/files.ts';
import { readFragment, replacePackage } from '../../src/catalog/fragments.ts';
import { enforceJson, jsonText } from '../../src/catalog/json-rules.ts';
import { assertPackageName, isPackageName } from '../../src/catalog/names.ts';
import { type CatalogTree, foldersOf } from '../../src/catalog/tree.ts';
import { validatePackages } from '../../src/catalog/validate.ts';
import type { ErrorCode } from '../../src/errors/policy.ts';
import { directoryTree, opmNamed, readerOf } from './world.ts';

let dir: string;
let tree: CatalogTree;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-files-'));
  tree = directoryTree(join(dir, 'configs'), await readerOf());
  await mkdir(tree.configsDir);
});
afterEach(() => rm(dir, { recursive: true }));

const failure = (code: ErrorCode, message: string) => expect.objectContaining({ code, message });

/** A sound package with one channel `stable` and a bundle per version, each replacing the one before. */
function catalog(name: string, ...versions: string[]): object[] {
  const bundle = (version: string) => `${name}.v${version}`;
  return [
    { schema: 'olm.package', name, defaultChannel: 'stable' },
    {
      schema: 'olm.channel',
      package: name,
      name: 'stable',
      entries: versions.map((version, at) => ({
        name: bundle(version),
        ...(at === 0 ? {} : { replaces: bundle(versions[at - 1] ?? '') }),
      })),
    },
    ...versions.map((version) => ({
      schema: 'olm.bundle',
      package: name,
      name: bundle(version),
      image: `example.com/${name}:${version}`,
      properties: [{ type: 'olm.package', value: { packageName: name, version } }],
    })),
  ];
}

async function put(files: Record<string, string | object[]>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), typeof content === 'string' ? content : jsonText(content));
  }
}

const files = async (below = 'configs') =>
  (await readdir(join(dir, below), { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(dir, below).length + 1))
    .sort();
const text = (name: string) => readFile(join(dir, name), 'utf8');
const merge = (packages: string[], emptied: string[] = []) =>
  mergeMigrated(tree, { dir: join(dir, 'migrated'), packages, emptied });

describe('package names', () => {
  test.each(['etcd', 'a', '3scale', 'a.b-c'])('%s is safe', (name) => {
    expect(isPackageName(name)).toBe(true);
  });
  test.each(['', '..', 'a..b', 'a/b', '/etc', '-a', 'A', 'a_b', '.hidden', '_operator-deprecations-content', 'a\n'])(
    '%j is not',
    (name) => {
      expect(() => assertPackageName(name)).toThrow(expect.objectContaining({ code: 'package_name_unsafe' }));
    },
  );
});

describe('merging migrated packages', () => {
  test('an equal package keeps its bytes, even those of its siblings', async () => {
    await put({
      'configs/lamp/catalog.json': catalog('lamp', '1.0.0'),
      'configs/lamp/deprecations.yaml': 'schema: olm.deprecations\npackage: lamp\nentries: []\n',
      'migrated/lamp/catalog.json': catalog('lamp', '1.0.0'),
    });
    const before = await stat(join(dir, 'configs/lamp/catalog.json'));
    expect(await merge(['lamp'])).toEqual({ written: [], unchanged: ['lamp'], removed: [] });
    expect((await stat(join(dir, 'configs/lamp/catalog.json'))).ino).toBe(before.ino);
    expect(await files()).toEqual(['lamp/catalog.json', 'lamp/deprecations.yaml']);
  });

  test('a new file replaces what came from the database in any form and keeps the rest as JSON', async () => {
    await put({
      'configs/lamp/catalog.yaml': catalog('lamp', '1.0.0')
        .map((blob) => `---\n${JSON.stringify(blob)}\n`)
        .join(''),
      'configs/lamp/channels/stable.json': [{ schema: 'olm.channel', package: 'lamp', name: 'old', entries: [] }],
      'configs/lamp/extra.yml': 'schema: custom\npackage: lamp\nsince: 2020-01-02 03:04:05\n',
      'configs/lamp/.indexignore': 'nothing\n',
      'configs/other/catalog.yaml': 'schema: olm.package\nname: other\n',
      'migrated/lamp/catalog.json': catalog('lamp', '1.0.0', '1.1.0'),
    });
    expect(await merge(['lamp'])).toEqual({ written: ['lamp'], unchanged: [], removed: [] });
    expect(await files()).toEqual(['lamp/.indexignore', 'lamp/catalog.json', 'lamp/extra.json', 'other/catalog.yaml']);
    expect(await text('configs/lamp/catalog.json')).toBe(jsonText(catalog('lamp', '1.0.0', '1.1.0')));
    expect(await text('configs/lamp/extra.json')).toBe(
      jsonText([{ schema: 'custom', package: 'lamp', since: '2020-01-02 03:04:05' }]),
    );
    expect(await merge(['lamp'])).toEqual({ written: [], unchanged: ['lamp'], removed: [] });
  });

  test('documents that the database does not know survive in a file that held both', async () => {
    const custom = { schema: 'custom', package: 'lamp' };
    await put({
      'configs/lamp/all.json': [...catalog('lamp', '1.0.0'), custom],
      'configs/lamp/catalog.yaml': `schema: olm.package\nname: lamp\n---\n${JSON.stringify(custom)}\n`,
      'migrated/lamp/catalog.json': catalog('lamp', '1.0.0'),
    });
    await merge(['lamp']);
    expect(await files()).toEqual(['lamp/all.json', 'lamp/catalog-2.json', 'lamp/catalog.json']);
    expect(await text('configs/lamp/all.json')).toBe(jsonText([custom]));
    expect(await text('configs/lamp/catalog-2.json')).toBe(jsonText([custom]));
  });

  test("what somebody has put into opm's own file survives beside it", async () => {
    const deprecation = {
      schema: 'olm.deprecations',
      package: 'lamp',
      entries: [{ reference: { schema: 'olm.bundle', name: 'lamp.v1.0.0' }, message: 'old' }],
    };
    await put({
      'configs/lamp/catalog.json': [...catalog('lamp', '1.0.0'), deprecation],
      'migrated/lamp/catalog.json': catalog('lamp', '1.0.0', '1.1.0'),
    });
    await merge(['lamp']);
    expect(await files()).toEqual(['lamp/catalog-2.json', 'lamp/catalog.json']);
    expect(await text('configs/lamp/catalog-2.json')).toBe(jsonText([deprecation]));
    expect(await text('configs/lamp/catalog.json')).toBe(jsonText(catalog('lamp', '1.0.0', '1.1.0')));
  });

  test('a package that the database has no more leaves with its deprecations', async () => {
    await put({
      'configs/lamp/catalog.json': catalog('lamp', '1.0.0'),
      'configs/_operator-deprecations-content/lamp/lamp.json': [],
      'configs/_operator-deprecations-content/other/other.json': [],
      'migrated/other/catalog.json': catalog('other', '1.0.0'),
    });
    expect(await merge(['lamp', 'other', 'never'])).toEqual({ written: ['other'], unchanged: [], removed: ['lamp'] });
    expect(await files()).toEqual(['_operator-deprecations-content/other/other.json', 'other/catalog.json']);
  });

  test('deprecations of what is gone go, the others stay, and opm agrees', async () => {
    const entry = (schema: string, name: string) => ({ reference: { schema, name }, message: 'old' });
    const blob = (entries: object[]) => ({ schema: 'olm.deprecations', package: 'lamp', entries });
    const path = 'configs/_operator-deprecations-content/lamp/lamp.json';
    await put({
      'configs/lamp/catalog.json': catalog('lamp', '1.0.0', '1.1.0'),
      [path]: [
        blob([entry('olm.bundle', 'lamp.v1.0.0'), entry('olm.bundle', 'lamp.v1.1.0'), entry('olm.channel', 'x')]),
      ],
      'migrated/lamp/catalog.json': catalog('lamp', '1.1.0'),
    });
    await merge(['lamp']);
    expect(await text(path)).toBe(jsonText([blob([entry('olm.bundle', 'lamp.v1.1.0')])]));
    for (const name of ['opm-v1.48.0', 'opm-v1.73.0']) await validatePackages(await opmNamed(name), tree, ['lamp'], {});

    await put({ 'migrated/lamp/catalog.json': catalog('lamp', '1.2.0') });
    await merge(['lamp']);
    expect(await files()).toEqual(['lamp/catalog.json']);
  });

  test('a package with deprecated bundles loses everything it had first', async () => {
    await put({
      'configs/lamp/catalog.json': catalog('lamp', '1.0.0'),
      'configs/lamp/extra.json': [{ schema: 'custom', package: 'lamp' }],
      'migrated/lamp/catalog.json': catalog('lamp', '1.1.0'),
    });
    await merge(['lamp'], ['lamp']);
    expect(await files()).toEqual(['lamp/catalog.json']);
  });

  test('nothing is written through links, nor outside of the catalog', async () => {
    await mkdir(join(dir, 'outside'));
    await symlink(join(dir, 'outside'), join(tree.configsDir, 'lamp'));
    await put({ 'migrated/lamp/catalog.json': catalog('lamp', '1.0.0'), 'outside-file': 'mine' });
    await expect(merge(['lamp'])).rejects.toEqual(failure('catalog_invalid', 'lamp in the catalog is not a folder'));
    expect(await files('outside')).toEqual([]);
    await expect(merge(['../outside'])).rejects.toMatchObject({ code: 'package_name_unsafe' });

    await rm(join(tree.configsDir, 'lamp'));
    await mkdir(join(tree.configsDir, 'lamp'));
    await symlink(join(dir, 'outside-file'), join(tree.configsDir, 'lamp/catalog.json'));
    await merge(['lamp']);
    expect(await text('outside-file')).toBe('mine');
    expect(await text('configs/lamp/catalog.json')).toBe(jsonText(catalog('lamp', '1.0.0')));
  });
});

describe('JSON rules', () => {
  const enforce = () => enforceJson(tree.reader, foldersOf(tree, 'lamp').own);

  test('all documents of a file follow one another; no file takes the place of another', async () => {
    await put({
      'configs/lamp/a.YAML': '---\nschema: a\n---\n---\nschema: b\nwhen: 2020-01-02\n',
      'configs/lamp/b.yaml': 'schema: second\n',
      'configs/lamp/b.yml': 'schema: third\n',
      'configs/lamp/b.json': '{"schema":"first"}',
    });
    await enforce();
    expect(await files()).toEqual(['lamp/a.json', 'lamp/b-2.json', 'lamp/b-3.json', 'lamp/b.json']);
    expect(await text('configs/lamp/a.json')).toBe(jsonText([{ schema: 'a' }, { schema: 'b', when: '2020-01-02' }]));
    expect(await text('configs/lamp/b.json')).toBe('{"schema":"first"}');
    expect(await text('configs/lamp/b-2.json')).toBe(jsonText([{ schema: 'second' }]));
    expect(await text('configs/lamp/b-3.json')).toBe(jsonText([{ schema: 'third' }]));
  });

  test.each([
    [{ 'x/a.yml': '' }, 'Empty YAML file found: lamp/x/a.yml'],
    [{ 'a.yaml': '# nothing\n' }, "The catalog file lamp/a.yaml is not valid: object '' is missing root schema field"],
    [
      { 'a.yaml': 'b: [' },
      /^The catalog file lamp\/a.yaml is not valid: error converting YAML to JSON: yaml: line 1: /,
    ],
  ])('%j is refused', async (given, message) => {
    await put(Object.fromEntries(Object.entries(given).map(([name, content]) => [`configs/lamp/${name}`, content])));
    await expect(enforce()).rejects.toMatchObject({
      code: 'catalog_invalid',
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });

  test('aliases that multiply are refused at once', async () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x,x]',
      ...'bcdefgh'.split('').map((key, at) => {
        const above = String.fromCharCode(97 + at);
        return `${key}: &${key} [${Array(10).fill(`*${above}`).join(',')}]`;
      }),
    ].join('\n');
    await put({ 'configs/lamp/a.yaml': bomb });
    await expect(enforce()).rejects.toMatchObject({ code: 'catalog_invalid' });
  });
});

describe('whole packages', () => {
  test('bundles are refused for packages that the database does not have but the catalog does', async () => {
    await put({ 'configs/lamp/catalog.json': '', 'configs/pilot/catalog.json': '' });
    await assertNotCatalogOnly(tree, ['lamp'], ['lamp', 'new']);
    await expect(assertNotCatalogOnly(tree, ['lamp'], ['pilot'])).rejects.toEqual(
      failure(
        'package_only_in_catalog',
        'Bundles cannot be added to pilot: the index has this package as file-based catalog only. Update the file-based catalog instead.',
      ),
    );
  });

  test('removing and emptying', async () => {
    await put({
      'configs/lamp/catalog.json': '',
      'configs/pilot/catalog.json': '',
      'configs/_operator-deprecations-content/gone/gone.json': '',
      'configs/README.md': '',
    });
    expect(await removePackage(tree, 'lamp')).toBe(true);
    expect(await removePackage(tree, 'lamp')).toBe(false);
    await expect(removePackage(tree, '..')).rejects.toMatchObject({ code: 'package_name_unsafe' });
    expect(await emptyCatalog(tree)).toEqual(['pilot']);
    expect(await files()).toEqual(['.gitkeep']);
  });

  test('a fragment replaces the folder of its package', async () => {
    await put({
      'configs/lamp/old.json': catalog('lamp', '0.9.0'),
      'fragment/lamp/catalog.yaml': jsonText(catalog('lamp', '1.0.0')),
    });
    const fragment = { dir: join(dir, 'fragment'), path: '/configs', image: 'example.com/f:1' };
    expect(await readFragment(fragment)).toEqual({ packages: ['lamp'], strangers: [] });
    await replacePackage(tree, 'lamp', fragment.dir);
    expect(await files()).toEqual(['lamp/catalog.json']);
  });

  const about = (name: string, ...bundles: string[]) => ({
    schema: 'olm.deprecations',
    package: name,
    entries: bundles.map((bundle) => ({ reference: { schema: 'olm.bundle', name: bundle }, message: 'old' })),
  });

  test('deprecations that a fragment brings replace those of its packages, and of no others', async () => {
    await put({
      'configs/_operator-deprecations-content/lamp/lamp.json': jsonText([about('lamp', 'lamp.v0.9.0')]),
      'configs/_operator-deprecations-content/pilot/pilot.json': jsonText([about('pilot')]),
      'fragment/lamp/catalog.json': catalog('lamp', '1.0.0'),
      'fragment/_operator-deprecations-content/lamp/new.yaml': jsonText([about('lamp', 'lamp.v1.0.0')]),
      'fragment/_operator-deprecations-content/pilot/pilot.json': jsonText([about('pilot', 'pilot.v1.0.0')]),
    });
    const fragment = { dir: join(dir, 'fragment'), path: '/configs', image: 'example.com/f:1' };
    expect(await readFragment(fragment)).toEqual({ packages: ['lamp'], strangers: ['pilot'] });
    await replacePackage(tree, 'lamp', fragment.dir);
    expect(await files()).toEqual([
      '_operator-deprecations-content/lamp/new.json',
      '_operator-deprecations-content/pilot/pilot.json',
      'lamp/catalog.json',
    ]);
    expect(await text('configs/_operator-deprecations-content/pilot/pilot.json')).toBe(jsonText([about('pilot')]));
  });

  test('deprecations inside a package take the place of those in the folder for them', async () => {
    await put({
      'configs/_operator-deprecations-content/lamp/lamp.json': jsonText([about('lamp', 'lamp.v1.0.0')]),
      'fragment/lamp/catalog.json': [...catalog('lamp', '1.0.0'), about('lamp', 'lamp.v1.0.0')],
    });
    await replacePackage(tree, 'lamp', join(dir, 'fragment'));
    expect(await files()).toEqual(['lamp/catalog.json']);
  });

  test('deprecations that were there stay, but for what the package has lost', async () => {
    await put({
      'configs/_operator-deprecations-content/lamp/lamp.json': jsonText([about('lamp', 'lamp.v0.9.0', 'lamp.v1.0.0')]),
      'fragment/lamp/catalog.json': catalog('lamp', '1.0.0'),
    });
    await replacePackage(tree, 'lamp', join(dir, 'fragment'));
    expect(JSON.parse(await text('configs/_operator-deprecations-content/lamp/lamp.json'))).toEqual(
      about('lamp', 'lamp.v1.0.0'),
    );
  });

  test('fragments that would reach beyond their packages are refused', async () => {
    const fragment = { dir: join(dir, 'fragment'), path: '/configs', image: 'example.com/f:1' };
    await expect(readFragment(fragment)).rejects.toEqual(
      failure(
        'catalog_invalid',
        'FBC fragment catalog directory not found at /configs after extracting example.com/f:1',
      ),
    );
    await mkdir(fragment.dir);
    const none = failure('catalog_invalid', 'No operator packages in fbc_fragment example.com/f:1');
    await expect(readFragment(fragment)).rejects.toEqual(none);
    await put({ 'fragment/_operator-deprecations-content/lamp/lamp.json': '' });
    await expect(readFragment(fragment)).rejects.toEqual(none);
    await put({ 'fragment/Lamp Post/catalog.json': '' });
    await expect(readFragment(fragment)).rejects.toMatchObject({ code: 'package_name_unsafe' });
    await put({ 'loose/README.md': '' });
    await expect(readFragment({ ...fragment, dir: join(dir, 'loose') })).rejects.toEqual(
      failure(
        'catalog_invalid',
        'The fbc_fragment example.com/f:1 has README.md beside its packages; only folders belong there',
      ),
    );
    await put({ 'configs/pilot/catalog.json': catalog('pilot', '1.0.0'), 'f/lamp/x.json': catalog('pilot', '2.0.0') });
    await expect(replacePackage(tree, 'lamp', join(dir, 'f'))).rejects.toEqual(
      failure('catalog_invalid', 'duplicate package "pilot": also defined in the folder lamp'),
    );
    await symlink('/etc/passwd', join(dir, 'f/lamp/link.json'));
    await expect(replacePackage(tree, 'lamp', join(dir, 'f'))).rejects.toEqual(
      failure('catalog_invalid', 'lamp/link.json is neither a file nor a folder; links are not allowed in a catalog'),
    );
  });

  test('deprecations are written in one place, as JSON', async () => {
    await put({ 'configs/_operator-deprecations-content/lamp/old.yaml': 'schema: olm.deprecations\npackage: lamp\n' });
    await writeDeprecations(tree, 'lamp', '{"schema":"olm.deprecations","package":"lamp","entries":[]}');
    expect(await files()).toEqual(['_operator-deprecations-content/lamp/lamp.json']);
    for (const broken of ['{', '{"schema":"olm.deprecations","package":"lamp","x":1e400}']) {
      await expect(writeDeprecations(tree, 'lamp', broken)).rejects.toMatchObject({ code: 'catalog_invalid' });
    }
  });
});

describe.each(['opm-v1.48.0', 'opm-v1.73.0'])('validation with %s', (name) => {
  test('looks at the packages asked for, and shows no local path', async () => {
    const opm = await opmNamed(name);
    await put({
      'configs/lamp/catalog.json': catalog('lamp', '1.0.0'),
      'configs/broken/catalog.json': catalog('broken').slice(0, 2),
      'configs/.indexignore': '*.md\n',
      'configs/lamp/README.md': 'hello',
    });
    await validatePackages(opm, tree, ['lamp', 'absent'], { scratch: dir });
    await validatePackages(opm, tree, [], { scratch: dir });
    await expect(validatePackages(opm, tree, ['lamp', 'broken'], { scratch: dir })).rejects.toEqual(
      failure(
        'catalog_invalid',
        'Failed to validate the content from config_dir configs: invalid index:\n└── invalid package "broken":\n    └── invalid channel "stable":\n        └── channel must contain at least one bundle',
      ),
    );
    expect((await readdir(dir)).filter((entry) => /^(opm|validate)-/.test(entry))).toEqual([]);
  });
});

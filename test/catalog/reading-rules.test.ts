import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { replacePackage } from '../../src/catalog/fragments.ts';
import { fieldsOf } from '../../src/catalog/go-fields.ts';
import { enforceJson, jsonText } from '../../src/catalog/json-rules.ts';
import { masked, maskFor, unmasked } from '../../src/catalog/masks.ts';
import { inParser } from '../../src/catalog/parser.ts';
import { type CatalogTree, foldersOf } from '../../src/catalog/tree.ts';
import { readPackages } from '../../src/catalog/update.ts';
import { comparable, oracleOf } from './oracle.ts';
import { directoryTree, readerOf } from './world.ts';

let dir: string;
let tree: CatalogTree;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-rules-'));
  tree = directoryTree(join(dir, 'configs'), await readerOf('opm-v1.48.0', { scratch: dir }));
  await mkdir(tree.configsDir);
});
afterEach(() => rm(dir, { recursive: true }));

async function put(files: Record<string, string>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), content);
  }
}

const own = () => foldersOf(tree, 'gadget').own;
const files = async () => (await readdir(own().dir, { recursive: true })).sort();
const text = (name: string) => readFile(join(own().dir, name), 'utf8');

const PACKAGE = { schema: 'olm.package', name: 'gadget', defaultChannel: 'stable' };

describe('YAML that becomes JSON', () => {
  test('keeps fields that opm has no use for, and names of schemas that are no schemas', async () => {
    await put({
      'configs/gadget/catalog.yaml': [
        'schema: olm.bundle\npackage: gadget\nname: gadget.v1\nimage: ""\nzoo: {olm.package: 1, text: an olm.bundle}\n',
        'defaultChannel: stable\nowner: [us]\nname: gadget\nschema: olm.package\n',
        'schema: custom\nolm.channel: x\n',
      ].join('---\n'),
    });
    const [before] = await oracleOf([tree.configsDir]);
    await enforceJson(tree.reader, own());
    expect(await files()).toEqual(['catalog.json']);
    expect(await text('catalog.json')).toBe(
      jsonText([
        { schema: 'olm.package', name: 'gadget', defaultChannel: 'stable', owner: ['us'] },
        {
          schema: 'olm.bundle',
          name: 'gadget.v1',
          package: 'gadget',
          image: '',
          zoo: { 'olm.package': 1, text: 'an olm.bundle' },
        },
        { schema: 'custom', 'olm.channel': 'x' },
      ]),
    );
    const [after] = await oracleOf([tree.configsDir]);
    if (before === undefined || after === undefined || 'error' in before || 'error' in after)
      throw new Error('refused');
    expect(comparable(after.documents)).toEqual(comparable(before.documents));
  });

  test('stays YAML where opm would leave out fields', async () => {
    const escaped = 'schema: "olm\\x2epackage"\nname: gadget\nowner: us\n';
    await put({ 'configs/gadget/catalog.yaml': escaped });
    await enforceJson(tree.reader, own());
    expect(await files()).toEqual(['catalog.yaml']);
    expect(await text('catalog.yaml')).toBe(escaped);
    expect(await readPackages(tree, ['gadget'])).toMatchObject([{ name: 'gadget' }]);
  });

  test('that holds JSON keeps its bytes', async () => {
    const bytes = '{"schema":"custom",  "n":1.0, "big":12345678901234567890}\n\n';
    await put({ 'configs/gadget/a.yml': bytes });
    await enforceJson(tree.reader, own());
    expect(await files()).toEqual(['a.json']);
    expect(await text('a.json')).toBe(bytes);
  });

  const words = fc.constantFrom(
    'olm.package',
    'olm.channel',
    'olm.bundle',
    'olm.deprecations',
    'olm',
    '.',
    '"',
    '\\',
    'x',
  );
  test('is masked and unmasked without a trace, in place', () => {
    fc.assert(
      fc.property(fc.array(words), fc.array(words), (some, more) => {
        const document = JSON.stringify({ a: some.join(''), b: { c: more.join('') } }, null, 4);
        const mask = maskFor(document);
        const hidden = masked(document, mask);
        expect(hidden).not.toMatch(/olm\.(package|channel|bundle|deprecations)/);
        expect(hidden.length).toBe(document.length);
        expect(unmasked(hidden, mask)).toBe(document);
      }),
    );
  });
});

describe('files that .indexignore hides', () => {
  test('are neither read nor changed, at whatever level the pattern stands', async () => {
    await put({
      'configs/.indexignore': '*.md\n',
      'configs/gadget/.indexignore': 'old/*\n!old/kept.json\n',
      'configs/gadget/README.md': 'Hello.',
      'configs/gadget/catalog.json': jsonText([PACKAGE]),
      'configs/gadget/old/broken.yaml': '{',
      'configs/gadget/old/kept.json': jsonText([{ schema: 'custom' }]),
      'configs/gadget/extra.yaml': 'schema: custom\n',
    });
    expect(await tree.reader.files(own())).toEqual(['catalog.json', 'extra.yaml', 'old/kept.json']);
    await enforceJson(tree.reader, own());
    expect(await files()).toEqual(
      ['.indexignore', 'README.md', 'catalog.json', 'extra.json', 'old', 'old/broken.yaml', 'old/kept.json'].sort(),
    );
    expect(await readPackages(tree, ['gadget'])).toMatchObject([{ name: 'gadget' }]);
  });

  test('may not be what a fragment brings', async () => {
    await put({
      'configs/.indexignore': 'notes*\n',
      'fragment/gadget/catalog.json': jsonText([PACKAGE]),
      'fragment/gadget/notes.yaml': 'schema: custom\n',
    });
    await expect(replacePackage(tree, 'gadget', join(dir, 'fragment'))).rejects.toMatchObject({
      code: 'catalog_invalid',
      message: "The catalog's .indexignore hides gadget/notes.yaml; give the file another name",
    });
  });
});

describe('fields as Go finds them', () => {
  test.each([
    [{ NAME: 'a' }, 'a'],
    [{ name: null }, undefined],
    [{ Name: 'a', name: null }, 'a'],
    [{ name: 'b', Name: 'a' }, 'b'],
    [{ na\u006de: 'a', other: 'b' }, 'a'],
    [{ name: '\ud800' }, '\ufffd'],
    [{}, undefined],
    [null, undefined],
  ])('%j has the name %j', (value, name) => {
    expect(fieldsOf(value, ['name'])?.name).toBe(name);
  });

  test.each([['text'], [5], [[{ name: 'a' }]]])('%j has none', (value) => {
    expect(fieldsOf(value, ['name'])).toBeUndefined();
  });

  test('the two letters of other alphabets that Go takes for ours', () => {
    expect(fieldsOf({ '\u017fchema': 'a', '\u212aey': 'b' }, ['schema', 'key'])).toEqual({ schema: 'a', key: 'b' });
  });
});

describe('the thread', () => {
  test('is the one place where catalogs are parsed', async () => {
    const src = resolve(import.meta.dirname, '../../src');
    const sources = (await readdir(src, { recursive: true })).filter((name) => name.endsWith('.ts'));
    const parsing: string[] = [];
    for (const name of sources) {
      if (/from '.*\/documents\.ts'/.test(await readFile(join(src, name), 'utf8'))) parsing.push(name);
    }
    expect(parsing).toEqual(['catalog/parser-thread.ts']);
  });

  test('leaves the event loop alone', async () => {
    const bundles = Array.from({ length: 200 }, (_, at) => ({
      schema: 'olm.bundle',
      package: 'gadget',
      name: `gadget.v1.0.${at}`,
      image: '',
      properties: Array.from({ length: 500 }, (_, number) => ({
        type: 'custom',
        value: { number, text: 'x'.repeat(20) },
      })),
    }));
    await put({ 'configs/gadget/catalog.json': jsonText([PACKAGE, ...bundles]) });
    const used = () => process.threadCpuUsage().user / 1000;
    let [last, longest] = [used(), 0];
    const timer = setInterval(() => {
      const now = used();
      longest = Math.max(longest, now - last);
      last = now;
    }, 1);
    const [model] = await readPackages(tree, ['gadget']);
    clearInterval(timer);
    expect(model?.bundles.size).toBe(200);
    // CPU time, which no other process on the machine makes longer.
    expect(longest).toBeLessThan(100);
  });

  test('goes on with the next file when a task is ended', async () => {
    await put({
      'big.json': jsonText(Array(40_000).fill({ schema: 'custom', text: 'x'.repeat(100) })),
      'small.json': '',
    });
    const ended = new AbortController();
    const first = inParser('read', { path: join(dir, 'big.json') }, { shown: 'big.json', signal: ended.signal });
    const second = inParser('read', { path: join(dir, 'small.json') }, { shown: 'small.json' });
    ended.abort(new Error('ended'));
    await expect(first).rejects.toThrow('ended');
    expect(await second).toEqual({ json: [] });
  });

  test('is not given files without bounds', async () => {
    await put({ 'configs/gadget/catalog.json': '' });
    await truncate(join(own().dir, 'catalog.json'), 256 * 1024 * 1024 + 1);
    await expect(readPackages(tree, ['gadget'])).rejects.toMatchObject({
      code: 'catalog_invalid',
      message: 'The catalog file gadget/catalog.json is larger than 268435456 bytes',
    });
  });
});

import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { jsonDocuments, parseCatalog, readCatalogFiles } from '../../src/catalog/fbc.ts';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { imagesIn, packageModels } from '../../src/catalog/model.ts';

const anyDocument = fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }));

describe('concatenated JSON documents', () => {
  test('come apart as they were put together, whatever is in and between them', () => {
    const between = fc.stringMatching(/^[ \n\r\t]*$/);
    const pieces = fc.array(fc.tuple(anyDocument, between, fc.constantFrom(0, 2, 4)));
    fc.assert(
      fc.property(pieces, (documents) => {
        const text = documents.map(([value, gap, indent]) => JSON.stringify(value, null, indent) + gap).join('');
        const read = [...jsonDocuments(text)].map((document) => JSON.parse(document));
        expect(read).toEqual(documents.map(([value]) => JSON.parse(JSON.stringify(value))));
      }),
    );
  });

  test('any text is either read whole or refused', () => {
    const noise = fc.string({ unit: fc.constantFrom('{', '}', '[', ']', '"', '\\', 'a', ' ', ',', ':') });
    fc.assert(
      fc.property(noise, (text) => {
        try {
          expect([...jsonDocuments(text)].join('').replace(/\s/g, '')).toBe(text.replace(/\s/g, ''));
        } catch (thrown) {
          expect(thrown).toBeInstanceOf(SyntaxError);
        }
      }),
    );
  });

  test('a large document costs no more than its length', () => {
    const blob = {
      schema: 'olm.bundle',
      package: 'p',
      name: 'p.v1',
      big: 'x'.repeat(20_000_000),
      quoted: '\\"'.repeat(1000),
    };
    expect([...jsonDocuments(jsonText([blob, blob]))].map((text) => text.length)).toEqual(
      Array(2).fill(jsonText([blob]).length - 1),
    );
  });
});

describe('a catalog file', () => {
  const blobs = [
    { schema: 'olm.package', name: 'p', defaultChannel: 'stable' },
    {
      schema: 'olm.channel',
      package: 'p',
      name: 'stable',
      entries: [{ name: 'p.v1' }, { name: 'p.v2', replaces: 'p.v1', skips: ['p.v0'], skipRange: '<2.0.0' }],
    },
    {
      schema: 'olm.bundle',
      package: 'p',
      name: 'p.v2',
      image: 'example.com/p@sha256:02',
      properties: [{ type: 'olm.package', value: { packageName: 'p', version: '2.0.0' } }],
    },
    { schema: 'olm.bundle', package: 'p', name: 'p.v1', image: 'example.com/p@sha256:01' },
    {
      schema: 'olm.deprecations',
      package: 'p',
      entries: [{ reference: { schema: 'olm.bundle', name: 'p.v1' }, message: 'old' }],
    },
    { schema: 'custom', package: 'p', whatever: 1 },
  ];

  test('means the same in JSON and YAML', () => {
    const yaml = blobs.map((blob) => `---\n${stringify(blob)}`).join('');
    expect(parseCatalog(yaml, 'catalog.yaml')).toEqual(parseCatalog(jsonText(blobs), 'catalog.json'));
    expect(parseCatalog(jsonText(blobs), 'catalog.yaml')).toEqual(parseCatalog(jsonText(blobs), 'catalog.json'));
  });

  test('becomes a model of its packages', () => {
    const [model] = packageModels(parseCatalog(jsonText(blobs), 'catalog.json'));
    expect(model?.channels.get('stable')).toMatchObject({ heads: ['p.v2'] });
    expect(model?.bundles.get('p.v2')?.version).toBe('2.0.0');
    expect([...(model?.deprecated ?? [])]).toEqual(['olm.bundle p.v1']);
    expect(model && imagesIn(model)).toEqual(['example.com/p@sha256:01', 'example.com/p@sha256:02']);
  });

  test.each([
    ['{"schema":"olm.package"}', 'document 1, name: Invalid input: expected string, received undefined'],
    ['{"name":"x"}', 'document 1, schema: Invalid input: expected string, received undefined'],
    ['[1]', 'document 1, schema: Invalid input: expected object, received array'],
    ['{"schema":"a"} x', 'unexpected x at 15'],
    ['{"schema":"a"', 'the last document does not end'],
    ['a: [1', 'line 1, column 6: Flow sequence in block collection must be sufficiently indented and end with a ]'],
  ])('is refused with the place: %s', (text, message) => {
    expect(() => parseCatalog(text, 'p/catalog.json')).toThrow(
      expect.objectContaining({
        code: 'catalog_invalid',
        message: `The catalog file p/catalog.json is not valid: ${message}`,
      }),
    );
  });
});

describe('a folder', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'indexwright-fbc-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  test('is read without following links', async () => {
    await writeFile(join(dir, 'a.json'), '{"schema":"x"}');
    await writeFile(join(dir, 'README.md'), 'nothing');
    await symlink('/etc/passwd', join(dir, 'b.yaml'));
    expect(await readCatalogFiles(dir)).toEqual([{ file: 'a.json', blobs: [{ schema: 'x' }] }]);
    expect(await readCatalogFiles(join(dir, 'absent'))).toEqual([]);
  });
});

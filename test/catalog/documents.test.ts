import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonDocuments } from '../../src/catalog/documents.ts';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { packageModels } from '../../src/catalog/model.ts';
import { parseRendered } from './world.ts';

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

test('documents become a model of their packages', () => {
  const [model] = packageModels(
    parseRendered(
      jsonText([
        { schema: 'olm.package', name: 'p', defaultChannel: 'stable' },
        {
          schema: 'olm.channel',
          package: 'p',
          name: 'stable',
          entries: [{ name: 'p.v1' }, { name: 'p.v2', replaces: 'p.v1', skips: ['p.v0'], skipRange: null }],
        },
        {
          schema: 'olm.bundle',
          package: 'p',
          name: 'p.v2',
          image: 'example.com/p@sha256:02',
          properties: [{ type: 'olm.package', value: { packageName: 'p', version: '2.0.0' } }],
        },
        {
          schema: 'olm.deprecations',
          package: 'p',
          entries: [{ reference: { schema: 'olm.package', name: null }, message: 'old' }],
        },
      ]),
    ),
  );
  expect(model?.channels.get('stable')).toMatchObject({ heads: ['p.v2'] });
  expect(model?.bundles.get('p.v2')).toMatchObject({ version: '2.0.0', image: 'example.com/p@sha256:02' });
  expect([...(model?.deprecated ?? [])]).toEqual(['olm.package']);
});

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { Config } from '../../src/config/schema.ts';
import { codeIn, page, ROOT, rowsOf } from './page.ts';

const Node = z.object({
  default: z.unknown().optional(),
  required: z.array(z.string()).default([]),
  properties: z.record(z.string(), z.unknown()).optional(),
  items: z.unknown().optional(),
});

/** Key of the schema, dotted → its default as JSON, `required`, or `none`. */
function keysOf(schema: unknown, prefix = ''): Record<string, string> {
  const { properties = {}, required } = Node.parse(schema);
  return Object.fromEntries(
    Object.entries(properties).flatMap(([name, below]) => {
      const node = Node.parse(below);
      const key = `${prefix}${name}`;
      const fallback = JSON.stringify(node.default) ?? (required.includes(name) ? 'required' : 'none');
      const own: [string, string] = [key, fallback];
      if (node.properties !== undefined) return Object.entries(keysOf(below, `${key}.`));
      return [own, ...(node.items === undefined ? [] : Object.entries(keysOf(node.items, `${key}[].`)))];
    }),
  );
}

const text = page('docs/configuration.md');
const schema = keysOf(z.toJSONSchema(Config, { io: 'input' }));
const rows = rowsOf(text, 'Key').map(([key, , fallback = '', meaning]) => ({
  key: codeIn(key)[0] ?? '',
  fallback: codeIn(fallback)[0] ?? fallback,
  meaning,
}));

test('the page has every key of the configuration and no other', () => {
  expect(Object.keys(schema).length).toBeGreaterThan(40);
  expect(rows.map(({ key }) => key).sort()).toEqual(Object.keys(schema).sort());
});

test('the page gives the defaults that hold', () => {
  const defaults = Object.fromEntries(
    rows.map(({ key, fallback }) => [key, /^[[{"]/.test(fallback) ? JSON.stringify(JSON.parse(fallback)) : fallback]),
  );
  expect(defaults).toEqual(schema);
});

test('every key is explained', () => {
  expect(rows.filter(({ meaning }) => !meaning).map(({ key }) => key)).toEqual([]);
});

test('the page has every environment variable of ours and no other', () => {
  const sources = ['bin', 'scripts', 'src', 'test', 'tekton'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && entry.parentPath !== import.meta.dirname)
      .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8')),
  );
  const named = new Set(sources.flatMap((source) => source.match(/\bINDEXWRIGHT_(?!TEST_)[A-Z][A-Z_]*\b/g) ?? []));
  const listed = rowsOf(text, 'Variable').flatMap(([variable]) => codeIn(variable));
  expect(listed.filter((name) => name.startsWith('INDEXWRIGHT_')).sort()).toEqual([...named].sort());
});

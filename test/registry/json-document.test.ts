import { expect, test } from 'vitest';
import { parseJsonDocument } from '../../src/registry/json-document.ts';

const read = (text: string) => parseJsonDocument(Buffer.from(text));

test('JSON is read as it is, whatever its strings hold', () => {
  for (const value of [{ a: ['[{,:', '\\"[', '\\'], b: null }, 'x'.repeat(100_000), ','.repeat(200_000), 5, [[]]]) {
    expect(read(JSON.stringify(value))).toEqual(value);
  }
});

test('what is no JSON is refused', () => {
  for (const text of ['', '{', '<html>', '{"a":1}}', '"']) expect(() => read(text)).toThrow(SyntaxError);
});

test('values and nesting are bounded', () => {
  expect(read(JSON.stringify(Array(49_999).fill(1)))).toHaveLength(49_999);
  expect(() => read(JSON.stringify(Array(60_000).fill(1)))).toThrow('more than 50000 values');
  expect(() => read(`{${'"a":1,'.repeat(60_000)}"b":1}`)).toThrow('more than 50000 values');
  expect(() => read('['.repeat(1000))).toThrow('nested deeper than 100');
});

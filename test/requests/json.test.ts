import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byCodePoint, isEmpty, isFalsy } from '../../src/requests/checks.ts';
import { parseJson, parseNumbersAsWritten, writeJson } from '../../src/requests/json.ts';

test('what is written can be read back, in ASCII and with sorted keys', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const written = writeJson(value);
      expect(written).toMatch(/^[\0-\x7f]*$/);
      expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});

test('keys are ordered by code point, not by code unit', () => {
  expect(writeJson({ '\u{1f389}': 1, '\uff5e': 2, z: 3, Z: 4, '': 5 })).toBe(
    '{"":5,"Z":4,"z":3,"\\uff5e":2,"\\ud83c\\udf89":1}',
  );
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      const points = (text: string) => [...text].map((character) => character.codePointAt(0) ?? 0);
      const [x, y] = [points(a), points(b)];
      const at = x.findIndex((point, index) => point !== y[index]);
      const expected = at === -1 ? x.length - y.length : at >= y.length ? 1 : (x[at] ?? 0) - (y[at] ?? 0);
      expect(Math.sign(byCodePoint(a, b))).toBe(Math.sign(expected));
    }),
  );
});

test('numbers stay as they were written', () => {
  const text = '{"a":12345678901234567890123,"b":[1.0,1e2,-0,2.5],"c":1e400}';
  expect(writeJson(parseNumbersAsWritten(text))).toBe(text);
});

test('braces inside of strings are no nesting', () => {
  expect(parseJson(JSON.stringify('['.repeat(5000)))).toHaveLength(5000);
  expect(parseJson(JSON.stringify({ '\\"[': '"'.repeat(3000) }))).toBeTruthy();
  expect(() => parseJson('['.repeat(1001) + ']'.repeat(1001))).toThrow(SyntaxError);
});

test('falsy is what Python calls so', () => {
  for (const value of [null, undefined, false, 0, -0, '', [], {}]) expect(isFalsy(value)).toBe(true);
  for (const value of [true, 1, ' ', [null], { a: null }]) expect(isFalsy(value)).toBe(false);
  expect(isEmpty(false)).toBe(false);
});

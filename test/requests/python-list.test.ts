import { expect, test } from 'vitest';
import { pythonList } from '../../src/requests/python-list.ts';

test.each([
  [[], '[]'],
  [['a'], "['a']"],
  [['a', 'b'], "['a', 'b']"],
  [["it's"], '["it\'s"]'],
  [['both \' and "'], "['both \\' and \"']"],
  [['back\\slash'], "['back\\\\slash']"],
])('%j', (items, text) => {
  expect(pythonList(items)).toBe(text);
});

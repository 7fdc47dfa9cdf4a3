import { expect, test } from 'vitest';
import { createDigestCache } from '../../src/registry/digest-cache.ts';

test('what was used least recently goes when room is needed', () => {
  const cache = createDigestCache<string>(10);
  cache.put('a', 'A', 4);
  cache.put('b', 'B', 4);
  expect(cache.get('a')).toBe('A');
  cache.put('c', 'C', 4);
  expect(['a', 'b', 'c'].map((key) => cache.get(key))).toEqual(['A', undefined, 'C']);
});

test('put twice counts once; what is too large is not kept', () => {
  const cache = createDigestCache<string>(10);
  for (let n = 0; n < 5; n += 1) cache.put('a', 'A', 4);
  cache.put('b', 'B', 4);
  cache.put('huge', 'H', 11);
  expect(['a', 'b', 'huge'].map((key) => cache.get(key))).toEqual(['A', 'B', undefined]);
});

import { describe, expect, test } from 'vitest';
import type { IndexedBundle } from '../../../src/catalog/index-db.ts';
import { mayLackLabel, missingBundles, uniqueByPath } from '../../../src/requests/merge-index-image/decisions.ts';

const bundle = (name: string, image: string): IndexedBundle => ({
  package: name.split('.')[0] ?? '',
  name,
  version: '1.0.0',
  image,
  channels: ['stable'],
});
const at = (repository: string, digit: string) => `example.com/${repository}@sha256:${digit.repeat(64)}`;

describe('bundles the source lacks (request-handling.md §10.10)', () => {
  const lamp = bundle('lamp.v1', at('lamp', '1'));

  test('are those neither known by digest nor by CSV name, in the order of the target', () => {
    const target = [
      bundle('pilot.v2', at('pilot', '3')),
      bundle('lamp.v9', at('mirror/lamp', '1')),
      bundle('lamp.v1', at('lamp', '2')),
      bundle('beacon.v1', at('beacon', '4')),
    ];
    expect(missingBundles([lamp], target).map(({ name }) => name)).toEqual(['pilot.v2', 'beacon.v1']);
  });

  test.each([
    ['source', [bundle('pilot.v1', 'example.com/pilot:v1')], [lamp]],
    ['target', [lamp], [bundle('pilot.v1', 'example.com/pilot:v1')]],
  ])('cannot be told when the %s has one by tag', (index, source, target) => {
    expect(() => missingBundles(source, target)).toThrow(
      `Bundle example.com/pilot:v1 in the ${index} index image is not defined via digest`,
    );
  });

  test('the first of those with the same path counts', () => {
    const twin = bundle('other.v1', lamp.image);
    const beacon = bundle('beacon.v1', at('beacon', '4'));
    expect(uniqueByPath([lamp, beacon, twin])).toEqual([lamp, beacon]);
  });
});

describe('bundles without a label (request-handling.md §10.10)', () => {
  const waiver = {
    asked: true,
    user: 'rel-bot',
    indexes: ['example.com/pub/index:v4.19', 'example.com/pub/index@sha256:11'],
  };

  test.each([
    ['a user', ['rel-bot'], true],
    ['a prefix of an index by digest', ['example.com/pub/index@'], true],
    ['an index as the request names it', ['example.com/pub/index:v4.19'], true],
    ['another index', ['example.com/stage/'], false],
    ['a part of the user', ['rel'], false],
    ['nobody', [], false],
  ])('are fit when %s is on the list', (_, allowed, expected) => {
    expect(mayLackLabel(waiver, allowed)).toBe(expected);
  });

  test('are not when nobody asked, or an anonymous user', () => {
    expect(mayLackLabel({ ...waiver, asked: false }, ['rel-bot'])).toBe(false);
    expect(mayLackLabel({ ...waiver, asked: null }, ['rel-bot'])).toBe(false);
    expect(mayLackLabel({ ...waiver, user: null }, ['rel-bot'])).toBe(false);
  });
});

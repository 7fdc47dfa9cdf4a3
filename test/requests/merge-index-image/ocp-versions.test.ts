import { describe, expect, test } from 'vitest';
import { fitsVersion, indexVersion } from '../../../src/requests/merge-index-image/ocp-versions.ts';

const fits = (label: string, index: string) => fitsVersion(label, indexVersion(index));

describe('which index versions a label is for (request-handling.md §10.11)', () => {
  const INDEXES = ['v4.5', 'v4.6', 'v4.7', 'v4.8'];
  const [yes, no] = [true, false];

  test.each([
    ['v4.5', [yes, yes, yes, yes]],
    ['=v4.6', [no, yes, no, no]],
    ['v4.5-v4.7', [yes, yes, yes, no]],
    ['v4.5,v4.6', [yes, yes, yes, yes]],
    ['v4.6,v4.5', [yes, yes, yes, yes]],
    ['=v4.5|=v4.6', [yes, yes, no, no]],
    ['=v4.5|>=v4.7', [yes, no, yes, yes]],
  ])('%s', (label, expected) => {
    expect(INDEXES.map((index) => fits(label, index))).toEqual(expected);
  });

  test.each([
    ['v4.9', 'v4.10', yes],
    ['v4.10', 'v4.9', no],
    ['v4.9-v4.11', 'v4.10', yes],
    ['v4.10,v4.9', 'v4.9', yes],
    ['v4.10,v4.11', 'v4.9', no],
    ['4.9', 'v4.10', yes],
    ['=v4.10', 'v4.1', no],
    ['v4.6.0', 'v4.6', yes],
    ['=v4.6.0', 'v4.6', yes],
  ])('versions compare by component: %s in %s', (label, index, expected) => {
    expect(fits(label, index)).toBe(expected);
  });
});

test.each([
  [''],
  ['>=v4.10'],
  ['v=4.6'],
  ['latest'],
  ['v4.5-v4.6-v4.7'],
  ['v4.5-'],
  ['v4.5,old'],
  ['=v4.5|v4.6'],
  ['=v4.5 | =v4.6'],
  ['=v4.5|'],
  ['=old|=v4.6'],
])('%j says nothing that can be understood', (label) => {
  expect(fits(label, 'v4.6')).toBeUndefined();
});

test.each(['latest', '', 'v4.5-v4.6', 'v4.'])('an index of version %j is refused', (text) => {
  expect(() => indexVersion(text)).toThrow(
    expect.objectContaining({
      code: 'index_version_invalid',
      message: `Invalid OCP version, "${text}", specified in Index Image`,
    }),
  );
});

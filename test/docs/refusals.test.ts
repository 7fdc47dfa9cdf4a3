import { expect, test } from 'vitest';
import { REFUSALS } from '../../src/sandbox/gitlab/refusals.ts';
import { codeIn, page, rowsOf } from './page.ts';

test('the page lists the refusals of GitLab that nobody outside has confirmed, and no others', () => {
  const listed = rowsOf(page('docs/sandbox.md'), 'Unconfirmed refusal');
  const unconfirmed = REFUSALS.filter(({ source }) => source === null);
  expect(listed.map(([name, ...cells]) => [codeIn(name)[0], ...cells])).toEqual(
    unconfirmed.map(({ name, call, releases, when }) => [name, call, releases, when]),
  );
});

test('a source is said for each of the others', () => {
  const confirmed = REFUSALS.filter(({ source }) => source !== null);
  expect(confirmed.filter(({ source }) => source === '').map(({ name }) => name)).toEqual([]);
});

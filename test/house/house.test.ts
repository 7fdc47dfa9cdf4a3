import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

/** The rooms, top to bottom: a room imports only rooms below it (docs/architecture.md). */
const ROOMS = [
  'cli',
  'sandbox',
  'api',
  'worker',
  'requests',
  'spine',
  'onboarding',
  'builder',
  'catalog',
  'bundle',
  'forge',
  'pipeline',
  'registry',
  'messaging',
  'storage',
  'db',
  'config',
  'telemetry',
  'process',
  'errors',
];
const src = resolve(import.meta.dirname, '../../src');
const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));

const roomOf = (file: string) => file.split('/')[0] ?? '';

const imports = files.flatMap((file) =>
  [...readFileSync(join(src, file), 'utf8').matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)].map((match) => ({
    file,
    target: relative(src, resolve(src, dirname(file), match[1] ?? '')),
  })),
);

test('the sources were found', () => {
  expect(files.length).toBeGreaterThan(5);
  expect(imports.length).toBeGreaterThan(5);
});

test('every room is in the plan', () => {
  expect([...new Set(files.map(roomOf))].filter((room) => !ROOMS.includes(room))).toEqual([]);
});

test('imports go down', () => {
  const upward = imports.filter(({ file, target }) => ROOMS.indexOf(roomOf(target)) < ROOMS.indexOf(roomOf(file)));
  expect(upward).toEqual([]);
});

test('no file imports itself over others, not even for types', () => {
  let left = imports;
  for (let before = Number.POSITIVE_INFINITY; left.length < before; ) {
    before = left.length;
    const importing = new Set(left.map(({ file }) => file));
    left = left.filter(({ target }) => importing.has(target));
  }
  expect(left).toEqual([]);
});

test('only the command line knows the sandbox', () => {
  const strangers = imports.filter(
    ({ file, target }) => roomOf(target) === 'sandbox' && !['sandbox', 'cli'].includes(roomOf(file)),
  );
  expect(strangers).toEqual([]);
});

test('request types do not know one another', () => {
  const types = readdirSync(join(src, 'requests')).filter((name) =>
    statSync(join(src, 'requests', name)).isDirectory(),
  );
  const typeOf = (file: string) => types.find((type) => file.startsWith(`requests/${type}/`));
  const crossing = imports.filter(({ file, target }) => {
    const from = typeOf(file);
    const to = typeOf(target);
    return from !== undefined && to !== undefined && from !== to;
  });
  expect(crossing).toEqual([]);
});

test('the spine knows no request type', () => {
  expect(imports.filter(({ file, target }) => roomOf(file) === 'spine' && roomOf(target) === 'requests')).toEqual([]);
});

test('files can be read in one sitting', () => {
  const long = files.filter((file) => readFileSync(join(src, file), 'utf8').split('\n').length > 401);
  expect(long).toEqual([]);
});

test('no barrels', () => {
  expect(files.filter((file) => file.endsWith('/index.ts'))).toEqual([]);
});

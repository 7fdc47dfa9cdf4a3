import { expect, test } from 'vitest';
import { z } from 'zod';
import { codeIn, page, rowsOf, section } from './page.ts';

const Package = z.object({
  dependencies: z.record(z.string(), z.string()),
  devDependencies: z.record(z.string(), z.string()),
  optionalDependencies: z.record(z.string(), z.string()),
});

const manifest = Package.parse(JSON.parse(page('package.json')));
const installed = Object.assign({}, ...Object.values(manifest)) as Record<string, string>;
const text = page('docs/dependencies.md');
const namesIn = (part: string) => rowsOf(part, 'Package').flatMap(([cell]) => codeIn(cell));

test('every package is named with its reason, and nothing else is', () => {
  expect(namesIn(section(text, 'Packages')).sort()).toEqual(Object.keys(installed).sort());
});

test('packages said to be left out are left out', () => {
  const leftOut = namesIn(section(text, 'Given and not used'));
  expect(leftOut.length).toBeGreaterThan(0);
  expect(leftOut.filter((name) => name in installed)).toEqual([]);
});

test('versions are exact', () => {
  expect(Object.entries(installed).filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version))).toEqual([]);
});

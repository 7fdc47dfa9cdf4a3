import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { codeIn, page, ROOT } from './page.ts';

const pages = ['README.md', ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)];

test.each(pages)('%s points to files that are there', (name) => {
  const text = page(name);
  const links = [...text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)].map((match) => join(dirname(name), match[1] ?? ''));
  const named = codeIn(text).filter((code) =>
    /^(src|test|docs|tekton|tools|scripts|migrations|examples|bin)\/[\w./-]+$/.test(code),
  );
  expect([...links, ...named].filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});

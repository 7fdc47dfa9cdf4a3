import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname, '../..');
const MAKEFILE = readFileSync(join(ROOT, 'Makefile'), 'utf8');
const run = promisify(execFile);

/** Programs that the Makefile starts by Node and that no other test does. */
const PROGRAMS = [
  ...new Set([...MAKEFILE.matchAll(/\bnode ((?:scripts|bench)\/\S+\.ts)/g)].map(([, path = '']) => path)),
];
const SHELL_SCRIPTS = readdirSync(join(ROOT, 'scripts')).filter((name) => name.endsWith('.sh'));
const TARGETS = (/^\.PHONY: (.*)$/m.exec(MAKEFILE)?.[1] ?? '').split(' ');

test('all programs in scripts/ and bench/ are known', () => {
  const entries = ['scripts', 'bench', 'bench/api'].flatMap((dir) =>
    readdirSync(join(ROOT, dir))
      .filter((name) => name.endsWith('.ts'))
      .map((name) => `${dir}/${name}`)
      .filter((path) => readFileSync(join(ROOT, path), 'utf8').includes("process.argv.includes('--help')")),
  );
  expect(PROGRAMS.sort()).toEqual(entries.sort());
});

test.each(PROGRAMS)('%s starts: all that it imports is there', async (program) => {
  const { stdout, stderr } = await run(process.execPath, [program, '--help'], { cwd: ROOT });
  expect(stdout).toMatch(new RegExp(`^usage: node ${program}`));
  expect(stderr).toBe('');
});

test.each(SHELL_SCRIPTS)('scripts/%s can be read by the shell', async (name) => {
  await run('bash', ['-n', join(ROOT, 'scripts', name)]);
});

test.each(TARGETS)('make %s: all files of its commands are there', async (target) => {
  const { stdout } = await run('make', ['-n', '-o', 'node_modules/.installed', target], { cwd: ROOT });
  const named = stdout.match(/(?<=\s|^)(?:scripts|bench|test|bin)\/[\w./-]+/g) ?? [];
  const absent = named.filter((path) => {
    const full = join(ROOT, path);
    // vitest takes the beginning of paths.
    const folder = resolve(full, '..');
    return (
      !existsSync(full) &&
      !(existsSync(folder) && readdirSync(folder).some((name) => join(folder, name).startsWith(full)))
    );
  });
  expect(absent).toEqual([]);
});

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { asFailure, Failure } from '../../src/errors/failure.ts';
import { patiently } from '../../src/errors/retry.ts';
import { shortageInWords } from '../../src/errors/shortage.ts';
import { run } from '../../src/process/run.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const error = (code: string, more: object = {}) => Object.assign(new Error(`${code}: no`), { code, ...more });

describe('a shortage of this machine', () => {
  test.each([
    ['EMFILE', 'out of file descriptors'],
    ['ENFILE', 'on a machine that is out of file descriptors'],
    ['ENOSPC', 'out of disk space'],
    ['EDQUOT', 'at its disk quota'],
    ['ENOMEM', 'out of memory'],
  ])('%s is told by name and passes by itself, whatever it was called on its way up', (code, what) => {
    const renamed = [
      error(code),
      new Failure('configuration_invalid', 'The credentials cannot be read', { cause: error(code) }),
      new Failure('bundle_unsupported', 'no', { cause: new Error('wrapped', { cause: error(code) }) }),
      new Failure('registry_unavailable', 'The registry cannot be reached', { cause: error(code) }),
    ];
    for (const thrown of renamed) {
      const failure = asFailure(thrown);
      expect(failure).toMatchObject({ code: 'local_shortage', verdict: 'transient', cause: thrown });
      expect(failure.message).toContain(`This worker is ${what}`);
      expect(asFailure(thrown)).toBe(failure);
    }
  });

  test('EAGAIN is one of starting a program, and none of a socket', () => {
    expect(asFailure(error('EAGAIN', { syscall: 'spawn git' })).code).toBe('local_shortage');
    expect(asFailure(error('EAGAIN', { syscall: 'read' })).code).toBe('unexpected');
  });

  test('SQLite says it by a number', () => {
    const full = error('ERR_SQLITE_ERROR', { errcode: 13 });
    expect(asFailure(new Failure('index_db_invalid', 'no', { cause: full })).code).toBe('local_shortage');
    expect(asFailure(error('ERR_SQLITE_ERROR', { errcode: 11 })).code).toBe('unexpected');
  });

  test('a job that must run again does, whatever is behind it', () => {
    for (const code of ['database_unavailable', 'lease_lost'] as const) {
      expect(asFailure(new Failure(code, 'no', { cause: error('EMFILE') })).code).toBe(code);
    }
  });

  test('patience is spent once, also where the error is renamed meanwhile', async () => {
    const patience = { total: 20, first: 5, longest: 5 };
    const signal = new AbortController().signal;
    let calls = 0;
    const inner = () =>
      patiently(patience, signal, async () => {
        calls += 1;
        throw error('EMFILE');
      }).catch((cause: unknown) => {
        throw new Failure('configuration_invalid', 'renamed', { cause });
      });
    let outer = 0;
    const both = patiently(patience, signal, () => {
      outer += 1;
      return inner();
    });
    await expect(both).rejects.toMatchObject({ code: 'configuration_invalid' });
    expect(calls).toBeGreaterThan(1);
    expect(outer).toBe(1);
  });
});

describe('in the words of programs', () => {
  test.each([
    ["cp: error writing '/state/x': No space left on device", 'ENOSPC'],
    ['fatal: write error: No space left on device', 'ENOSPC'],
    ['error: unable to write file objects/ab/cd: Disk quota exceeded\nfatal: unable to checkout', 'EDQUOT'],
    ["fatal: unable to open '/x/HEAD': Too many open files", 'EMFILE'],
    ['error: cannot fork() for index-pack: Resource temporarily unavailable', 'EAGAIN'],
    ['fatal: Out of memory, malloc failed (tried to allocate 524288 bytes): Cannot allocate memory', 'ENOMEM'],
    ['Error: write /state/work/opm-1/cache/x: no space left on device', 'ENOSPC'],
    ['level=fatal msg="reading" error="open /state/index.db: too many open files"', 'EMFILE'],
    ['dial tcp 10.0.0.1:443: socket: too many open files', 'EMFILE'],
    ['fork/exec /usr/bin/x: resource temporarily unavailable', 'EAGAIN'],
    ['runtime: failed to create new OS thread (have 5 already; errno=11)', 'EAGAIN'],
    ['Error: database or disk is full', 'ENOSPC'],
  ])('%s', (stderr, code) => {
    expect(shortageInWords(`some line before\n${stderr}\n`)).toContain(`(${code})`);
  });

  test.each([
    'remote: fatal: write error: No space left on device\nfatal: the remote end hung up unexpectedly',
    'error: remote unpack failed: unable to write: No space left on device',
    'remote: error: cannot fork() for x: Resource temporarily unavailable',
    'writing blob: uploading layer: received unexpected HTTP status: 507 Insufficient Storage',
    'unknown: no space left on device',
    'fatal error: runtime: cannot allocate memory',
    '',
  ])('of somebody else’s machine or of a limit that we set: %s', (stderr) => {
    expect(shortageInWords(stderr)).toBeUndefined();
  });
});

describe('met in truth', () => {
  test('a full disk, by us and by a program', async () => {
    const ours = await Promise.resolve()
      .then(() => writeFileSync('/dev/full', 'x'))
      .catch(asFailure);
    expect(ours).toMatchObject({ code: 'local_shortage', message: expect.stringContaining('out of disk space') });
    const theirs = run('cp', [join(ROOT, 'package.json'), '/dev/full'], { timeout: 30_000 });
    await expect(theirs).rejects.toMatchObject({
      code: 'local_shortage',
      message: expect.stringContaining('disk space'),
    });
  });

  test('no file descriptor left: for credentials, for a program, for a database', () => {
    const script = `
      import { openSync, closeSync } from 'node:fs';
      import { asFailure } from './src/errors/failure.ts';
      import { readSecretFile } from './src/config/secret-file.ts';
      import { readAuthFile } from './src/registry/auth.ts';
      import { run } from './src/process/run.ts';
      await run('true', [], { timeout: 10_000 });
      const fds = [];
      try { for (;;) fds.push(openSync('/dev/null')); } catch {}
      const codes = [];
      const note = (name) => (thrown) => codes.push(name + ' ' + asFailure(thrown).code + ' ' + asFailure(thrown).message.slice(0, 40));
      await readAuthFile('package.json').catch(note('auth'));
      try { readSecretFile('package.json', 'a token'); } catch (thrown) { note('secret')(thrown); }
      await run('true', [], { timeout: 10_000 }).catch(note('program'));
      for (const fd of fds) closeSync(fd);
      console.log(JSON.stringify(codes));`;
    const limited = ['--nofile=200', process.execPath, '--input-type=module', '-e', script];
    const told = JSON.parse(execFileSync('prlimit', limited, { cwd: ROOT, encoding: 'utf8' }));
    const sentence = 'local_shortage This worker is out of file descriptors: ';
    expect(told).toEqual(['auth', 'secret', 'program'].map((name) => `${name} ${sentence}`.slice(0, name.length + 56)));
  });
});

import { execFile, execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { describe as chainOf } from '../../src/errors/failure.ts';
import { AUTHOR, catalogWorld } from './catalog-repository.ts';
import { TOKEN } from './git-server.ts';

const uploads = (requests: string[]) => requests.filter((line) => line.startsWith('POST')).length;

function mirrorOf(stateDir: string): string {
  const [name] = readdirSync(join(stateDir, 'mirrors'));
  return join(stateDir, 'mirrors', name ?? '');
}

test('it is made once; afterwards a look is one question and a fetch is the difference', async () => {
  const { server, forge, stateDir, signal } = await catalogWorld();
  const first = await forge.tip('v4.19', signal);
  expect(first).toBe(server.git('rev-parse', 'v4.19'));

  let before = uploads(server.requests);
  expect(await forge.tip('v4.19', signal)).toBe(first);
  expect(uploads(server.requests) - before).toBe(1);

  before = uploads(server.requests);
  const second = server.commit('v4.19', { 'configs/etcd/catalog.json': 'newer\n' });
  expect(await forge.tip('v4.19', signal)).toBe(second);
  const packs = readdirSync(join(mirrorOf(stateDir), 'objects/pack')).filter((name) => name.endsWith('.pack'));
  expect(packs).toHaveLength(2);
});

test.each([
  ['packs are cut', (mirror: string) => eachPack(mirror, (pack) => truncateSync(pack, 40))],
  ['packs are gone', (mirror: string) => rmSync(join(mirror, 'objects'), { recursive: true })],
  ['the config is garbage', (mirror: string) => writeFileSync(join(mirror, 'config'), '\0\0[[')],
  ['HEAD is empty', (mirror: string) => truncateSync(join(mirror, 'HEAD'), 0)],
  ['a ref is garbage', (mirror: string) => writeFileSync(join(mirror, 'refs/heads/v4.19'), 'garbage\n')],
])('it heals when %s', async (_, damage) => {
  const { forge, server, stateDir, signal, newDir } = await catalogWorld();
  await forge.tip('v4.19', signal);
  damage(mirrorOf(stateDir));
  expect(await forge.tip('v4.19', signal)).toBe(server.git('rev-parse', 'v4.19'));
  const workspace = await forge.openWorkspace({ branch: 'v4.19', dir: newDir() }, signal);
  expect(await workspace.listPackages(signal)).toEqual(['etcd', 'grafana', 'quay']);
  expect(readdirSync(join(stateDir, 'mirrors'))).toHaveLength(1);
});

function eachPack(mirror: string, damage: (pack: string) => void): void {
  const folder = join(mirror, 'objects/pack');
  for (const name of readdirSync(folder)) if (name.endsWith('.pack')) damage(join(folder, name));
}

test('several processes share one', async () => {
  const { server, stateDir } = await catalogWorld();
  const script = `
    const { createForge } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/forge/forge.ts'))});
    const { createLog } = await import(${JSON.stringify(join(import.meta.dirname, '../../src/telemetry/log.ts'))});
    const [url, token, stateDir] = process.argv.slice(1);
    const forge = createForge({ url, token, stateDir, callTimeout: 10_000, log: createLog('silent', 'x') });
    console.log(await forge.tip('v4.19', new AbortController().signal));
  `;
  const run = () =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', script, server.url, TOKEN, stateDir]);
  for (const round of [1, 2]) {
    const tip = server.commit('v4.19', { 'configs/etcd/catalog.json': `round ${round}\n` });
    const tips = await Promise.all([run(), run(), run()]);
    expect(tips.map(({ stdout }) => stdout.trim())).toEqual([tip, tip, tip]);
  }
  expect(readdirSync(join(stateDir, 'mirrors'))).toHaveLength(1);
});

test('a missing branch has IIB’s text', async () => {
  const { forge, server, signal } = await catalogWorld();
  await expect(forge.tip('v9.99', signal)).rejects.toMatchObject({
    code: 'branch_missing',
    message: `Error cloning remote repository for ${server.url}: it has no branch v9.99`,
  });
});

test.each([
  [401, 'gitlab_denied'],
  [403, 'gitlab_denied'],
  [404, 'gitlab_denied'],
  [429, 'gitlab_unavailable'],
  [500, 'gitlab_unavailable'],
  [503, 'gitlab_unavailable'],
])('a repository that answers %i is %s', async (status, code) => {
  const { forge, server, signal, stateDir } = await catalogWorld();
  server.weather.status = status;
  const thrown: Error & { code: string } = await forge.tip('v4.19', signal).catch((error) => error);
  expect(thrown.code).toBe(code);
  expect(thrown.message).toMatch(/^Error cloning remote repository for http/);
  expect(thrown.message).not.toContain(stateDir);
});

test('a server that is down is unavailable', async () => {
  const { forge, server, signal } = await catalogWorld();
  await server.close();
  await expect(forge.tip('v4.19', signal)).rejects.toMatchObject({ code: 'gitlab_unavailable' });
});

test('the token is in no file, message or process list', async () => {
  const { forge, server, signal, stateDir, newDir, forgeWith } = await catalogWorld();
  const workspace = await forge.openWorkspace({ branch: 'v4.19', dir: newDir() }, signal);
  await workspace.include(['configs/etcd'], signal);
  const secrets = [TOKEN, Buffer.from(`oauth2:${TOKEN}`).toString('base64')];
  const files = readdirSync(stateDir, { recursive: true, encoding: 'utf8' }).map((name) => join(stateDir, name));
  const texts = files.filter((name) => statSync(name).isFile()).map((name) => readFileSync(name, 'latin1'));
  expect(texts.filter((text) => secrets.some((secret) => text.includes(secret)))).toEqual([]);

  const wrong = await forgeWith({ token: 'wrong-token-123' })
    .tip('v4.19', signal)
    .catch((error) => error);
  expect(wrong).toMatchObject({ code: 'gitlab_denied' });
  expect(chainOf(wrong)).not.toContain('wrong-token-123');

  server.weather.silent = true;
  const aborting = new AbortController();
  const hanging = forge.tip('v4.19', aborting.signal);
  const { port } = new URL(server.url);
  const helpers = () =>
    execFileSync('ps', ['-eo', 'pid,args'])
      .toString()
      .split('\n')
      .filter((line) => line.includes(`:${port}/`) && line.includes('git'));
  await expect.poll(helpers).not.toEqual([]);
  expect(helpers().filter((line) => secrets.some((secret) => line.includes(secret)))).toEqual([]);
  aborting.abort(new Error('the lease is lost'));
  await expect(hanging).rejects.toThrow('the lease is lost');
  await expect.poll(helpers).toEqual([]);
});

test('a connection that stands still is given up', async () => {
  const { forgeWith, server, signal } = await catalogWorld();
  server.weather.silent = true;
  await expect(forgeWith({ callTimeout: 1000 }).tip('v4.19', signal)).rejects.toMatchObject({
    code: 'gitlab_unavailable',
  });
});

test('a workspace goes on when its mirror is made anew beside it', async () => {
  const { forge, server, stateDir, signal, newDir } = await catalogWorld();
  const workspace = await forge.openWorkspace({ branch: 'v4.19', dir: newDir() }, signal);
  rmSync(mirrorOf(stateDir), { recursive: true });
  await workspace.include(['configs/etcd'], signal);
  writeFileSync(join(workspace.dir, 'configs/etcd/catalog.json'), 'changed\n');
  await workspace.commit({ message: 'change', author: AUTHOR }, signal);
  await workspace.push('iib-request-1-v4.19', signal);
  expect(server.git('diff', '--name-only', 'v4.19', 'iib-request-1-v4.19')).toBe('configs/etcd/catalog.json');
});

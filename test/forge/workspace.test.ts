import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Workspace } from '../../src/forge/workspace.ts';
import { AUTHOR, catalogFiles, catalogWorld } from './catalog-repository.ts';

const open = async (world: Awaited<ReturnType<typeof catalogWorld>>, branch = 'v4.19') =>
  await world.forge.openWorkspace({ branch, dir: world.newDir() }, world.signal);

/** Ids of all objects that are on this machine, the mirror's included; asking fetches nothing. */
function objectsHere(workspace: Workspace): Set<string> {
  const list = execFileSync('git', ['cat-file', '--batch-all-objects', '--batch-check=%(objectname)'], {
    cwd: workspace.dir,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return new Set(list.toString().split('\n'));
}

test('a change costs what it touches: the contents of other packages never come here', async () => {
  const packages = Array.from({ length: 40 }, (_, at) => `operator-${at}`);
  const world = await catalogWorld(packages);
  const { server, signal } = world;
  const workspace = await open(world);
  expect(readdirSync(workspace.dir).sort()).toEqual(['.git', '.iib-build-metadata.json', 'Dockerfile']);

  await workspace.include(['configs/operator-3', 'configs/_operator-deprecations-content/operator-3'], signal);
  expect(readdirSync(join(workspace.dir, 'configs'))).toEqual(['operator-3']);
  writeFileSync(join(workspace.dir, 'configs/operator-3/catalog.json'), 'new\n');
  await workspace.removePath('configs/operator-7', signal);
  await workspace.commit({ message: 'IIB: change', author: AUTHOR }, signal);
  expect(await workspace.changedPackages(signal)).toEqual([
    { name: 'operator-3', change: 'modified' },
    { name: 'operator-7', change: 'removed' },
  ]);
  // Somebody else moves the target meanwhile: the push must still send the difference only.
  server.commit('v4.19', { 'configs/operator-9/catalog.json': 'theirs\n' });
  await workspace.push('iib-request-1-v4.19', signal);

  const here = objectsHere(workspace);
  const blob = (name: string) => server.git('rev-parse', `${workspace.base}:configs/${name}/catalog.json`);
  expect(here.has(blob('operator-3'))).toBe(true);
  expect(packages.filter((name) => here.has(blob(name)))).toEqual(['operator-3']);
  expect(server.git('diff', '--name-status', workspace.base, 'iib-request-1-v4.19').split('\n')).toEqual([
    'M\tconfigs/operator-3/catalog.json',
    'D\tconfigs/operator-7/catalog.json',
  ]);
});

test('packages are listed without being fetched', async () => {
  const world = await catalogWorld(['quay', 'etcd']);
  world.server.commit('v4.19', {
    'configs/_operator-deprecations-content/etcd/etcd.json': '{}',
    'configs/README': 'x',
  });
  const workspace = await open(world);
  expect(await workspace.listPackages(world.signal)).toEqual(['etcd', 'quay']);
});

test('a branch without configs/ has no catalog', async () => {
  const world = await catalogWorld();
  world.server.commit('bare', { Dockerfile: 'FROM scratch\n' });
  const workspace = await open(world, 'bare');
  await expect(workspace.listPackages(world.signal)).rejects.toMatchObject({
    code: 'catalog_directory_missing',
    message: `Catalogs directory not found in ${world.server.url}: branch bare has no configs/`,
  });
});

test('configs/ outlives its last package', async () => {
  const world = await catalogWorld(['etcd', 'quay']);
  const workspace = await open(world);
  for (const name of await workspace.listPackages(world.signal)) {
    await workspace.removePath(`configs/${name}`, world.signal);
  }
  await workspace.commit({ message: 'empty', author: AUTHOR }, world.signal);
  await workspace.push('iib-request-2-v4.19', world.signal);
  expect(world.server.git('ls-tree', '-r', '--name-only', 'iib-request-2-v4.19', 'configs')).toBe('configs/.gitkeep');
  expect(await workspace.listPackages(world.signal)).toEqual([]);
});

test('several requests commit one after the other; one that fails is thrown away', async () => {
  const world = await catalogWorld();
  const { signal } = world;
  const workspace = await open(world);
  await workspace.include(['configs/etcd'], signal);
  writeFileSync(join(workspace.dir, 'configs/etcd/catalog.json'), 'first\n');
  const first = await workspace.commit({ message: 'first', author: AUTHOR }, signal);

  await workspace.removePath('configs/quay', signal);
  writeFileSync(join(workspace.dir, 'configs/etcd/catalog.json'), 'broken\n');
  await mkdir(join(workspace.dir, 'configs/half'));
  await writeFile(join(workspace.dir, 'configs/half/catalog.json'), 'half\n');
  await workspace.discard(signal);
  expect(readFileSync(join(workspace.dir, 'configs/etcd/catalog.json'), 'utf8')).toBe('first\n');
  expect(existsSync(join(workspace.dir, 'configs/half'))).toBe(false);
  expect(await workspace.commit({ message: 'nothing', author: AUTHOR }, signal)).toBeNull();

  await mkdir(join(workspace.dir, 'configs/argocd'));
  await writeFile(join(workspace.dir, 'configs/argocd/catalog.json'), 'new package\n');
  const second = await workspace.commit({ message: 'second\n\nBody', author: AUTHOR }, signal);
  expect(workspace.head()).toBe(second);
  expect(await workspace.changedPackages(signal)).toEqual([
    { name: 'argocd', change: 'added' },
    { name: 'etcd', change: 'modified' },
  ]);
  await workspace.push('iib-request-3-v4.19', signal);
  expect(world.server.git('log', '--format=%H %an <%ae> %s', '-2', 'iib-request-3-v4.19').split('\n')).toEqual([
    `${second} Indexwright <indexwright@example.com> second`,
    `${first} Indexwright <indexwright@example.com> first`,
  ]);
});

test('the same change on the same commit at the same date is the same commit', async () => {
  const world = await catalogWorld();
  const make = async () => {
    const workspace = await open(world);
    writeFileSync(join(workspace.dir, '.iib-build-metadata.json'), '{"request_id": 1}\n');
    return await workspace.commit({ message: 'again', author: AUTHOR, date: new Date(1e12) }, world.signal);
  };
  expect(await make()).toBe(await make());
});

test('what the repository says about attributes, ignored files and symlinks changes no byte', async () => {
  const world = await catalogWorld(['etcd']);
  const { server, signal } = world;
  server.commit('v4.19', {
    '.gitattributes': '* text eol=crlf ident filter=evil working-tree-encoding=UTF-16\n',
    '.gitignore': '*.json\n',
    'configs/trap/outside': { symlink: '/etc' },
  });
  const workspace = await open(world);
  await workspace.include(['configs/etcd', 'configs/trap'], signal);
  const file = join(workspace.dir, 'configs/etcd/catalog.json');
  expect(readFileSync(file, 'utf8')).toBe(catalogFiles(['etcd'])['configs/etcd/catalog.json']);
  expect(lstatSync(join(workspace.dir, 'configs/trap/outside')).isSymbolicLink()).toBe(false);

  await mkdir(join(workspace.dir, 'configs/new'));
  await writeFile(join(workspace.dir, 'configs/new/catalog.json'), 'a\r\nb\n$Id$\n');
  await workspace.commit({ message: 'x', author: AUTHOR }, signal);
  await workspace.push('iib-request-4-v4.19', signal);
  expect(server.git('show', 'iib-request-4-v4.19:configs/new/catalog.json')).toBe('a\r\nb\n$Id$');
});

test('files are read as they were at the base', async () => {
  const world = await catalogWorld(['etcd']);
  const workspace = await open(world);
  await workspace.removePath('configs/etcd', world.signal);
  const before = catalogFiles(['etcd'])['configs/etcd/catalog.json'];
  expect(await workspace.readAtBase('configs/etcd/catalog.json', world.signal)).toBe(before);
  expect(await workspace.readAtBase('configs/etcd/none.json', world.signal)).toBeNull();
  expect(await workspace.readAtBase('configs/none/none.json', world.signal)).toBeNull();
});

test('paths that leave the repository are refused', async () => {
  const world = await catalogWorld();
  const workspace = await open(world);
  for (const path of ['../x', '/etc', '.git/config', 'configs/../../x']) {
    const refused = { code: 'package_name_unsafe' };
    await expect(workspace.include([path], world.signal)).rejects.toMatchObject(refused);
    await expect(workspace.removePath(path, world.signal)).rejects.toMatchObject(refused);
    await expect(workspace.readAtBase(path, world.signal)).rejects.toMatchObject(refused);
  }
});

test('a delivery goes on with the commit it was pinned to, also on another machine', async () => {
  const world = await catalogWorld(['etcd']);
  const base = await world.forge.tip('v4.19', world.signal);
  world.server.commit('v4.19', { 'configs/etcd/catalog.json': 'newer\n' });
  const elsewhere = world.forgeWith({ stateDir: join(world.stateDir, 'elsewhere') });
  const workspace = await elsewhere.openWorkspace({ branch: 'v4.19', base, dir: world.newDir() }, world.signal);
  await workspace.include(['configs/etcd'], world.signal);
  expect(workspace.base).toBe(base);
  expect(readFileSync(join(workspace.dir, 'configs/etcd/catalog.json'), 'utf8')).not.toBe('newer\n');
});

test('disposing leaves nothing', async () => {
  const world = await catalogWorld();
  const workspace = await open(world);
  await workspace.dispose();
  expect(existsSync(workspace.dir)).toBe(false);
});

import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AUTHOR, type CatalogWorld, catalogWorld } from './catalog-repository.ts';

const BRANCH = 'iib-request-1-v4.19';

async function changed(world: CatalogWorld, requestId = 1) {
  const workspace = await world.forge.openWorkspace({ branch: 'v4.19', dir: world.newDir() }, world.signal);
  writeFileSync(join(workspace.dir, '.iib-build-metadata.json'), `{"request_id": ${requestId}}\n`);
  await workspace.commit({ message: 'change', author: AUTHOR }, world.signal);
  return workspace;
}

function hook(world: CatalogWorld, script: string): void {
  const path = join(world.server.repository, 'hooks/pre-receive');
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

test('pushing again is fine and sends nothing', async () => {
  const world = await catalogWorld();
  const workspace = await changed(world);
  await workspace.push(BRANCH, world.signal);
  const before = world.server.requests.length;
  await workspace.push(BRANCH, world.signal);
  expect(world.server.requests.slice(before).filter((line) => line.includes('receive-pack'))).toEqual([]);
  expect(world.server.git('rev-parse', BRANCH)).toBe(workspace.head());
});

test('a branch that an earlier attempt left is replaced', async () => {
  const world = await catalogWorld();
  await (await changed(world, 1)).push(BRANCH, world.signal);
  const again = await changed(world, 2);
  await again.push(BRANCH, world.signal);
  expect(world.server.git('rev-parse', BRANCH)).toBe(again.head());
});

test('a branch that changes at the same moment is left alone', async () => {
  const world = await catalogWorld();
  const workspace = await changed(world);
  const theirs = world.server.git('rev-parse', 'v4.19');
  world.server.weather.beforePush = () => world.server.git('branch', BRANCH, 'v4.19');
  await expect(workspace.push(BRANCH, world.signal)).rejects.toMatchObject({
    code: 'push_refused',
    message: expect.stringMatching(/^Error pushing changes to git repo http.*changed by somebody else/),
  });
  expect(world.server.git('rev-parse', BRANCH)).toBe(theirs);
});

test('a push whose answer is lost has happened', async () => {
  const world = await catalogWorld();
  const workspace = await changed(world);
  world.server.weather.cutAfterPush = true;
  await workspace.push(BRANCH, world.signal);
  expect(world.server.git('rev-parse', BRANCH)).toBe(workspace.head());
});

test('a refused push says what GitLab said', async () => {
  const world = await catalogWorld();
  const workspace = await changed(world);
  hook(world, 'echo "GitLab: You are not allowed to push code to protected branches on this project." >&2; exit 1');
  await expect(workspace.push(BRANCH, world.signal)).rejects.toMatchObject({
    code: 'push_refused',
    message: `Error pushing changes to git repo ${world.server.url}: GitLab rejected the push: GitLab: You are not allowed to push code to protected branches on this project.`,
  });
});

test.each([
  [413, 'push_refused'],
  [403, 'gitlab_denied'],
  [401, 'gitlab_denied'],
  [429, 'gitlab_unavailable'],
  [502, 'gitlab_unavailable'],
])('a push answered with %i is %s', async (status, code) => {
  const world = await catalogWorld();
  const workspace = await changed(world);
  world.server.weather.pushStatus = status;
  await expect(workspace.push(BRANCH, world.signal)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(/^Error pushing changes to git repo http/),
  });
});

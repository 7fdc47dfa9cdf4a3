import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AUTHOR, type CatalogWorld, catalogWorld } from './catalog-repository.ts';

const branch = 'v4.19';

/** A change of two commits on the branch, not pushed. */
async function changed(world: CatalogWorld) {
  const workspace = await world.forge.openWorkspace({ branch, dir: world.newDir() }, world.signal);
  for (const request of [1, 2]) {
    writeFileSync(join(workspace.dir, '.iib-build-metadata.json'), `{"request_id": ${request}}\n`);
    await workspace.commit({ message: `change ${request}`, author: AUTHOR }, world.signal);
  }
  const change = { branch, base: workspace.base, head: workspace.head() };
  return { workspace, standing: () => world.forge.standingCommits(change, world.signal) };
}

const tip = (world: CatalogWorld) => world.server.git('rev-parse', branch);

test('a change lands on the branch itself, and again is fine and sends nothing', async () => {
  const world = await catalogWorld();
  const { workspace, standing } = await changed(world);
  expect(await standing()).toEqual([]);
  await workspace.land(world.signal);
  const before = world.server.requests.length;
  await workspace.land(world.signal);
  expect(world.server.requests.slice(before).filter((line) => line.includes('receive-pack'))).toEqual([]);
  expect(tip(world)).toBe(workspace.head());
  expect(await standing()).toEqual([workspace.head(), world.server.git('rev-parse', `${branch}~1`)]);
});

test.each(['before the push', 'while it is pushed'])('a branch that moves %s is left alone', async (when) => {
  const world = await catalogWorld();
  const { workspace, standing } = await changed(world);
  let theirs = '';
  const disturb = () => {
    theirs = world.server.commit(branch, { OWNERS: 'somebody\n' });
  };
  if (when === 'before the push') disturb();
  else world.server.weather.beforePush = disturb;
  await expect(workspace.land(world.signal)).rejects.toMatchObject({
    code: 'target_moved',
    message: expect.stringMatching(/^Error pushing changes to git repo http.* v4\.19 changed during the request$/),
  });
  expect(tip(world)).toBe(theirs);
  expect(await standing()).toEqual([]);
});

test('a push whose answer is lost has happened, also when somebody has pushed on top since', async () => {
  const world = await catalogWorld();
  const { workspace, standing } = await changed(world);
  world.server.weather.cutAfterPush = true;
  await workspace.land(world.signal);
  delete world.server.weather.cutAfterPush;
  const theirs = world.server.commit(branch, { OWNERS: 'somebody\n' });
  await workspace.land(world.signal);
  expect(tip(world)).toBe(theirs);
  expect(await standing()).toHaveLength(2);
});

test('what was reverted stands no longer, nor does what was taken off the branch', async () => {
  const world = await catalogWorld();
  const { workspace, standing } = await changed(world);
  await workspace.land(world.signal);
  const first = world.server.git('rev-parse', `${branch}~1`);
  const made = world.server.git(
    ...['commit-tree', `${first}^{tree}`, '-p', workspace.head()],
    ...['-m', 'Revert "change 2"', '-m', `This reverts commit ${workspace.head()}`],
  );
  world.server.git('update-ref', `refs/heads/${branch}`, made);
  expect(await standing()).toEqual([first]);
  world.server.git('update-ref', `refs/heads/${branch}`, workspace.base);
  expect(await standing()).toEqual([]);
});

test('a refused push says what GitLab said', async () => {
  const world = await catalogWorld();
  const { workspace } = await changed(world);
  const hook = join(world.server.repository, 'hooks/pre-receive');
  const said = 'GitLab: You are not allowed to push code to protected branches on this project.';
  writeFileSync(hook, `#!/bin/sh\necho "${said}" >&2; exit 1\n`);
  chmodSync(hook, 0o755);
  await expect(workspace.land(world.signal)).rejects.toMatchObject({
    code: 'push_refused',
    message: `Error pushing changes to git repo ${world.server.url}: GitLab rejected the push: ${said}`,
  });
});

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { StepWorld } from '../../src/spine/step.ts';
import { merge } from '../../src/spine/steps/merge.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { codeIn, page, rowsOf } from '../docs/page.ts';
import { AUTHOR } from '../forge/catalog-repository.ts';
import { gitlabWorld, proposal, SOURCE, TARGET } from '../forge/gitlab-world.ts';
import { SOAK } from '../support/soak.ts';

const METHODS = ['merge', 'rebase_merge', 'ff'] as const;
const SQUASHES = ['never', 'default_off', 'default_on', 'always'] as const;
const ALL = METHODS.flatMap((method) => SQUASHES.map((squash) => [method, squash] as const));
/** In `make test` one of each row of the page; the soak tries all. */
const FEW = ['merge never', 'rebase_merge always', 'ff never', 'ff default_on'];
const TRIED = ALL.filter((combination) => SOAK || FEW.includes(combination.join(' ')));

const Commits = z.array(z.object({ id: z.string(), title: z.string(), parent_ids: z.array(z.string()) }));
const Entries = z.array(z.object({ path: z.string(), id: z.string() }));

/** A change of two requests, a commit each, pushed and proposed in a project with these settings; and its merge step. */
async function proposed(method: (typeof METHODS)[number], squash: (typeof SQUASHES)[number]) {
  const world = await gitlabWorld({ merge_method: method, squash_option: squash });
  const { forge, signal, human } = world;
  const dir = mkdtempSync(join(tmpdir(), 'merge-methods-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const workspace = await forge.openWorkspace({ branch: TARGET, dir }, signal);
  for (const request of [1, 2]) {
    writeFileSync(join(dir, `request-${request}.json`), '{}\n');
    await workspace.commit({ message: `IIB: request ${request}`, author: AUTHOR }, signal);
  }
  await workspace.push(SOURCE, signal);
  const { iid } = await forge.openMergeRequest(proposal(workspace), signal);
  const log = createLog('silent', 'test');
  const told = async () => {};
  const deadlines = { merge: 60_000, patience: 60_000 };
  const outside = { plan: { sourceBranch: SOURCE }, forge, signal, log, note: told, report: told, deadlines };
  const commits = async () => Commits.parse(await human('GET', `/repository/commits?ref_name=${TARGET}&per_page=50`));
  const before = new Set((await commits()).map(({ id }) => id));
  return {
    ...world,
    intent: { iid, head: workspace.head(), branch: TARGET, base: workspace.base },
    // The step asks for no more than this.
    outside: outside as unknown as StepWorld,
    files: async () => Entries.parse(await human('GET', `/repository/tree?ref=${TARGET}&recursive=true&per_page=100`)),
    tip: () => forge.branchTip(TARGET, signal),
    /** What the branch has got, newest first. */
    added: async () => (await commits()).filter(({ id }) => !before.has(id)),
  };
}

/** The commits of a branch as the page has them: titles, newest first; merge commits marked. */
const described = (commits: z.infer<typeof Commits>) =>
  commits.map(({ title, parent_ids }) => (parent_ids.length > 1 ? 'merge commit' : title.replace(/\d+/, 'N')));

/** What docs/catalog-repository.md says of the combination. */
function documented(method: string, squash: string): string[] {
  const rows = rowsOf(page('docs/catalog-repository.md'), 'Merge method');
  const [row] = rows.filter(
    ([methods, squashes]) => codeIn(methods).includes(method) && codeIn(squashes).includes(squash),
  );
  return codeIn(row?.[2]);
}

test.each(TRIED)(
  'merge method %s, squash %s: the branch has what the page says; undone, its files are as before',
  async (method, squash) => {
    const { intent, outside, files, tip, added } = await proposed(method, squash);
    const before = await files();
    const { sha } = await merge.run(intent, outside);
    expect(await tip()).toBe(sha);
    const merged = await added();
    expect(described(merged)).toEqual(documented(method, squash));
    expect(merged[0]?.id).toBe(sha);
    expect((await files()).map(({ path }) => path)).toEqual(
      expect.arrayContaining(['request-1.json', 'request-2.json']),
    );

    await merge.undo(intent, outside);
    expect(await files()).toEqual(before);
    const reverts = (await added()).slice(0, -merged.length);
    expect(reverts.length).toBe(method === 'ff' && squash === 'never' ? 2 : 1);
    expect(reverts.every(({ title }) => title.startsWith('Revert "'))).toBe(true);
    // A worker that takes over undoes it again.
    await merge.undo(intent, outside);
    expect((await added()).length).toBe(merged.length + reverts.length);
  },
);

test('the page says it of every combination', () => {
  expect(ALL.filter(([method, squash]) => documented(method, squash).length === 0)).toEqual([]);
});

import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { Anything } from '../../src/sandbox/rest.ts';
import { SOAK } from '../support/soak.ts';
import { gateAt } from './support/gate.ts';
import { expectPublished, expectUndone, newOperator, operatorsOf } from './support/proof.ts';
import { type World, world } from './support/world.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const BRANCH = 'v4.19';
const ALL = ['merge', 'rebase_merge', 'ff'].flatMap((method) =>
  ['never', 'default_off', 'default_on', 'always'].map((squash) => [method, squash] as const),
);
const Commits = z.array(z.object({ id: z.string(), title: z.string(), parent_ids: z.array(z.string()) }));

/** Whole requests; what each leaves where a delivery carries several is in test/spine/merge-methods.test.ts. */
describe.runIf(SOAK)('whole requests under every merge method and squash setting', () => {
  let w: World;
  beforeAll(async () => {
    w = await world({ deadlines: { patience: 5000, forward: 1000 } });
  });
  afterAll(() => w?.close());

  const newest = async (count: number) => {
    const path = `${w.project()}/repository/commits?ref_name=${BRANCH}&per_page=${count}`;
    return await w.gitlab('GET', path, Commits);
  };

  test.each(ALL)(
    'merge method %s, squash %s: published, and another one undone after its merge',
    async (method, squash) => {
      await w.gitlab('PUT', w.project(), Anything, { merge_method: method, squash_option: squash });
      const operator = `under-${method}-${squash}`.replaceAll('_', '-');
      const bundles = [await newOperator(w, operator), await newOperator(w, `${operator}-undone`)];
      let before = await w.photograph();
      const published = await w.end(await w.add({ bundles: bundles.slice(0, 1) }));
      await expectPublished(w, published, operator, before);
      const [tip] = await newest(1);
      expect(tip?.parent_ids.length).toBe(method === 'ff' ? 1 : 2);

      before = await w.photograph();
      const gate = await gateAt(w.databaseUrl, 'publish', 'intent');
      const request = await w.add({ bundles: bundles.slice(1) });
      await gate.reached();
      expect((await operatorsOf(w)).branch).toContain(`${operator}-undone`);
      await w.sandbox.parts.registry.stop();
      await gate.open();
      await w.reason(request, /^Undoing the request's changes after a failure: /);
      await w.sandbox.parts.registry.start();
      const ended = await w.end(request);
      const [revert, merged] = await newest(2);
      expect(revert?.title).toMatch(/^Revert "/);
      expect(merged?.parent_ids.length).toBe(method === 'ff' ? 1 : 2);
      // History is never taken back: the branch has the merge and its revert.
      before.branches[`${new URL(w.sandbox.seeded.catalogRepoUrl).pathname.slice(1)} ${BRANCH}`] = revert?.id ?? '';
      await expectUndone(w, ended, /registry/, before);
      expect((await operatorsOf(w)).branch).not.toContain(`${operator}-undone`);
    },
  );
});

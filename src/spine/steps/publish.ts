import { z } from 'zod';
import { restoreTag } from '../../registry/restore.ts';
import type { Step } from '../step.ts';
import { artifact } from './artifact.ts';
import { stage } from './stage.ts';

/** Tag → the digest it gets and the one it has now, null where it is absent. */
const Flips = z.record(z.string(), z.object({ to: z.string(), old: z.string().nullable() }));
const Outcome = z.object({ digest: z.string() });

/** Points shared tags to content that is already in their repositories: one manifest PUT for each. */
export const publish: Step<z.infer<typeof Flips>, z.infer<typeof Outcome>> = {
  name: 'publish',
  intent: Flips,
  outcome: Outcome,

  async intend({ plan, registry, outcomeOf }) {
    const { digest } = outcomeOf(stage);
    const { digests } = outcomeOf(artifact);
    const flips: z.infer<typeof Flips> = {};
    for (const request of plan.requests) {
      for (const tag of request.buildTags) flips[tag] = { to: digest, old: await registry.digestOf(tag) };
      if (request.overwrites !== null) {
        flips[request.overwrites.tag] = { to: digest, old: await registry.digestOf(request.overwrites.tag) };
      }
      const own = digests[request.id];
      if (plan.overwrite && request.artifact !== null && own !== undefined) {
        const { tag } = request.artifact.shared;
        flips[tag] = { to: own, old: await registry.digestOf(tag) };
      }
    }
    return flips;
  },

  async run(flips, { plan, registry, report, outcomeOf }) {
    for (const { output, overwrites } of plan.requests) {
      if (overwrites !== null) await report(`Overwriting the index image ${overwrites.tag} with ${output}`);
    }
    if (plan.requests.some(({ artifact }) => artifact !== null)) await report('Pushing updated index database');
    for (const [tag, { to }] of Object.entries(flips)) await registry.point(tag, to);
    return { digest: outcomeOf(stage).digest };
  },

  async undo(flips, { registry }) {
    for (const [tag, { to, old }] of Object.entries(flips)) await restoreTag(registry, tag, { ours: to, old });
  },
};

import { z } from 'zod';
import type { Step } from '../step.ts';

const Intent = z.object({ tags: z.array(z.string()) });
/** Request id → digest of its artifact. */
const Outcome = z.object({ digests: z.record(z.string(), z.string()) });

/**
 * Stores each request's index.db under the request's own tag, before anything else is done: from here on the journal
 * and the registry hold all that the delivery needs, whichever worker goes on with it.
 */
export const artifact: Step<z.infer<typeof Intent>, z.infer<typeof Outcome>> = {
  name: 'artifact',
  intent: Intent,
  outcome: Outcome,

  async intend({ plan }) {
    return { tags: plan.requests.flatMap((request) => (request.artifact === null ? [] : [request.artifact.own])) };
  },

  async run(_intent, { plan, pushArtifact }) {
    const digests: Record<string, string> = {};
    for (const request of plan.requests) {
      if (request.artifact !== null) digests[request.id] = await pushArtifact(request);
    }
    return { digests };
  },

  async undo({ tags }, { registry }) {
    for (const tag of tags) await registry.removeTag(tag);
  },
};

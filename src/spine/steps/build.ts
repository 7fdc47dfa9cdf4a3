import { z } from 'zod';
import { nameOf } from '../../registry/pull-spec.ts';
import type { Step } from '../step.ts';

const Intent = z.object({ head: z.string() });
/** The built image by digest: a tag can be overwritten by a second run (request-handling.md H15). */
const Outcome = z.object({ run: z.string(), image: z.string(), digest: z.string() });

/** Waits for the PipelineRun that the pushed commit started, and takes the image it made. */
export const build: Step<z.infer<typeof Intent>, z.infer<typeof Outcome>> = {
  name: 'build',
  intent: Intent,
  outcome: Outcome,

  async intend({ plan }) {
    return { head: plan.head };
  },

  async run({ head }, { plan, cluster, registry, deadlines, report, note, log, signal }) {
    await report('Waiting on KONFLUX build');
    const run = await cluster.findRun({ sha: head, template: plan.pipeline, appears: deadlines.runAppears, signal });
    await note({ pipeline_run: run.name });
    const ended = await cluster
      .waitForEnd(run, {
        starts: deadlines.runStarts,
        ends: deadlines.runEnds,
        signal,
        // Losing a note is no reason to stop waiting; a lost lease shows at the next write of the journal.
        onProgress: (reason) => void note({ progress: reason }).catch(() => {}),
      })
      .catch(async (thrown) => {
        const excerpt = await cluster.failureExcerpt(run, signal);
        if (excerpt !== null) log.error({ pipelineRun: run.name }, `the failing step said:\n${excerpt}`);
        throw thrown;
      });
    const digest = ended.imageDigest ?? (await registry.manifest(ended.imageUrl)).digest;
    return { run: ended.run.name, image: `${nameOf(ended.imageUrl)}@${digest}`, digest };
  },

  /** The run came with the push, and is cancelled where the push is undone. */
  async undo() {},
};

import type { ProposalKind } from '../config/schema.ts';
import type { Plan } from './plan.ts';
import { directCommit } from './proposals/direct-commit.ts';
import { mergeRequest } from './proposals/merge-request.ts';
import type { Proposal } from './proposals/proposal.ts';
import type { Route } from './saga.ts';
import { artifact } from './steps/artifact.ts';
import { build } from './steps/build.ts';
import { publish } from './steps/publish.ts';
import { stage } from './steps/stage.ts';

const proposals: Record<ProposalKind, Proposal> = { 'merge-request': mergeRequest, 'direct-commit': directCommit };

/** The steps a delivery takes. Until `propose` is over, the prepared commits live on this machine only. */
export function routeOf({ proposal, overwrite }: Pick<Plan, 'proposal' | 'overwrite'>): Route {
  const { overwriting, throwAway } = proposals[proposal];
  if (overwrite) {
    const { propose, merge } = overwriting;
    return { steps: [artifact, propose, build, stage, merge, publish], commitPoint: merge.name };
  }
  const { propose, close } = throwAway;
  return { steps: [artifact, propose, build, stage, close, publish], commitPoint: publish.name };
}

/** Once this step has its outcome, any worker can go on with the delivery; before, the change is made anew. */
export const selfContainedAfter = mergeRequest.overwriting.propose.name;

import type { Plan } from './plan.ts';
import type { Route } from './saga.ts';
import { artifact } from './steps/artifact.ts';
import { build } from './steps/build.ts';
import { close } from './steps/close.ts';
import { merge } from './steps/merge.ts';
import { propose } from './steps/propose.ts';
import { publish } from './steps/publish.ts';
import { stage } from './steps/stage.ts';

const before = [artifact, propose, build, stage] as const;
const overwriting: Route = { steps: [...before, merge, publish], commitPoint: merge.name };
const throwAway: Route = { steps: [...before, close, publish], commitPoint: publish.name };

/** The steps a delivery takes. Until `propose` is over, the prepared commits live on this machine only. */
export function routeOf({ overwrite }: Pick<Plan, 'overwrite'>): Route {
  return overwrite ? overwriting : throwAway;
}

/** Once this step has its outcome, any worker can go on with the delivery; before, the change is made anew. */
export const selfContainedAfter = propose.name;

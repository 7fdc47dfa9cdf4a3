import type { MadeImage } from '../db/outputs.ts';
import { nameOf } from '../registry/pull-spec.ts';
import { Plan } from '../spine/plan.ts';

/** Where an index image comes from that a request has made: its own tag or digest need not be a configured index. */
export interface Origin {
  request: number;
  /** Tag of the configured index that it is a version of. */
  index: string;
  /** The request's own index.db, by digest. */
  artifact: string;
}

/** Reads where an image comes from. Null for images that are no indexes, and where an older version kept no record. */
export function originOf({ plan, artifacts }: MadeImage): Origin | null {
  // The image shows the changes of all requests of its delivery, and so does the last one's database.
  const last = Plan.parse(plan).requests.at(-1);
  const index = last?.index ?? last?.overwrites?.tag;
  const digest = last === undefined ? undefined : artifacts[last.id];
  if (last === undefined || last.artifact === null || index === undefined || digest === undefined) return null;
  return { request: last.id, index, artifact: `${nameOf(last.artifact.own)}@${digest}` };
}

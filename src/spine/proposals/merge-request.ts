import { close } from '../steps/close.ts';
import { merge } from '../steps/merge.ts';
import { propose } from '../steps/propose.ts';
import type { Proposal } from './proposal.ts';

/** A branch of its own with a merge request, merged once it is built or closed: the target changes last. */
export const mergeRequest: Proposal = {
  overwriting: { propose, merge },
  throwAway: { propose, close },
};

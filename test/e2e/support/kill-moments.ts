import type { Moment } from './gate.ts';
import { ADDED } from './proof.ts';

const STEPS = ['artifact', 'propose', 'build', 'stage', 'merge', 'publish'];

export type KillMoment = [Moment, string];

/** Between each pair of writes of an overwriting add: where a worker may die and another must go on. */
export const KILL_MOMENTS: [KillMoment, ...KillMoment[]] = [
  ['report', 'Checking if bundles are already present in index image'],
  ...STEPS.flatMap((step): KillMoment[] => [
    ['intent', step],
    ['outcome', step],
  ]),
  ['report', ADDED],
];

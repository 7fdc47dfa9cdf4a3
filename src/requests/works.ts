import type { RequestTypeName } from '../db/schema.ts';
import { add } from './add/change.ts';
import { addDeprecations } from './add-deprecations/change.ts';
import { createEmptyIndex } from './create-empty-index/change.ts';
import { fbcOperations } from './fbc-operations/change.ts';
import { mergeIndexImage } from './merge-index-image/change.ts';
import { recursiveRelatedBundles } from './recursive-related-bundles/errand.ts';
import { regenerateBundle } from './regenerate-bundle/change.ts';
import { rm } from './rm/change.ts';
import type { AnyRequestWork, AnyWork } from './work.ts';

/** The worker's side of every type; adding one is adding its line. */
const WORKS: Readonly<Record<RequestTypeName, AnyWork>> = {
  add,
  rm,
  'merge-index-image': mergeIndexImage,
  'create-empty-index': createEmptyIndex,
  'fbc-operations': fbcOperations,
  'add-deprecations': addDeprecations,
  'regenerate-bundle': regenerateBundle,
  'recursive-related-bundles': recursiveRelatedBundles,
};

/** The worker's side of a request type. */
export function workOf(type: RequestTypeName): AnyWork {
  return WORKS[type];
}

/** The same for a request that has a delivery. */
export function changeOf(type: RequestTypeName): AnyRequestWork {
  const work = workOf(type);
  if (work.needs !== 'delivery') throw new Error(`requests of type ${type} have no deliveries`);
  return work;
}

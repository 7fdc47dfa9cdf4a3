import type { RequestTypeName } from '../db/schema.ts';
import { Failure } from '../errors/failure.ts';
import { add } from './add/change.ts';
import { addDeprecations } from './add-deprecations/change.ts';
import { createEmptyIndex } from './create-empty-index/change.ts';
import { fbcOperations } from './fbc-operations/change.ts';
import { mergeIndexImage } from './merge-index-image/change.ts';
import { rm } from './rm/change.ts';
import type { AnyRequestWork } from './work.ts';

/** The types this version can carry out; adding one is adding its line. */
const WORKS: Partial<Record<RequestTypeName, AnyRequestWork>> = {
  add,
  rm,
  'merge-index-image': mergeIndexImage,
  'create-empty-index': createEmptyIndex,
  'fbc-operations': fbcOperations,
  'add-deprecations': addDeprecations,
};

/**
 * The worker's side of a request type.
 *
 * @throws Failure `type_not_supported`
 */
export function workOf(type: RequestTypeName): AnyRequestWork {
  const work = WORKS[type];
  if (work === undefined) {
    throw new Failure(
      'type_not_supported',
      `Requests of type ${type} are not supported by this version of the service`,
    );
  }
  return work;
}

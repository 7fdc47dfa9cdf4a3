import type { RequestTypeName } from '../db/schema.ts';
import { add } from './add/api.ts';
import { addDeprecations } from './add-deprecations/api.ts';
import { createEmptyIndex } from './create-empty-index/api.ts';
import { fbcOperations } from './fbc-operations/api.ts';
import { mergeIndexImage } from './merge-index-image/api.ts';
import { recursiveRelatedBundles } from './recursive-related-bundles/api.ts';
import { regenerateBundle } from './regenerate-bundle/api.ts';
import { rm } from './rm/api.ts';
import type { RequestType } from './type.ts';

/** Every request type, in the order in which error texts name them (rest-api.md §4). A new type is one line here. */
export const REQUEST_TYPES: readonly RequestType[] = [
  add,
  rm,
  regenerateBundle,
  mergeIndexImage,
  createEmptyIndex,
  recursiveRelatedBundles,
  fbcOperations,
  addDeprecations,
];

const byName = new Map(REQUEST_TYPES.map((type) => [type.name, type]));

/** The type with this name; every name of the database schema has one. */
export function requestTypeNamed(name: RequestTypeName): RequestType {
  const type = byName.get(name);
  if (type === undefined) throw new Error(`no request type is named ${name}`);
  return type;
}

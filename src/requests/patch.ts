import { z } from 'zod';
import { Outcome } from '../db/outcome.ts';
import { STATES, type State } from '../db/schema.ts';
import {
  checkPullSpec,
  distinct,
  isNonEmptyString,
  isObject,
  isStringList,
  type JsonObject,
  refuse,
  refuseUnstorable,
} from './checks.ts';
import { ArchesField, PackageField, PullSpecField, PullSpecsField, ReasonField, ReplacementsField } from './fields.ts';
import { isJson } from './json.ts';
import { refuseBeyondLimits } from './limits.ts';
import type { RequestType } from './type.ts';

/** A worker's PATCH after its checks. */
export interface Patch {
  state: { name: State; reason: string } | null;
  outcome: Outcome & { bundle_mapping?: Record<string, string[]> };
}

/** What workers send; which keys are allowed depends on the type. */
export const PatchBody = z
  .strictObject({
    ...images(Object.keys(Outcome.shape)),
    arches: ArchesField,
    distribution_scope: z.string().min(1).max(1024),
    fbc_fragments_resolved: PullSpecsField,
    omps_operator_version: z.string().min(1).max(65_536),
    state: z.enum(STATES),
    state_reason: ReasonField,
    bundle_mapping: z.record(PackageField, PullSpecsField).meta({ maxProperties: 5000 }),
    /** Checked and dropped, as the next two. */
    bundle_replacements: ReplacementsField,
    bundles: PullSpecField,
    fbc_fragments: PullSpecField,
  })
  .partial();

function images(keys: readonly string[]): Record<string, typeof PullSpecField> {
  return Object.fromEntries(keys.map((key) => [key, PullSpecField]));
}

/** Keys with rules of their own; every other key is a non-empty string (rest-api.md §6). */
const RULES: Readonly<Record<string, { holds: (value: unknown) => boolean; message: string }>> = {
  arches: {
    holds: isStringList,
    message: 'Architectures should be specified as a non-empty array of strings',
  },
  bundle_mapping: {
    holds: (value) => isObject(value) && Object.values(value).every(isListOfStrings),
    message: 'The "bundle_mapping" key must be an object with the values as lists of strings',
  },
  fbc_fragments_resolved: {
    // A member that is "" is left to the check of pull specs.
    holds: isListOfStrings,
    message: 'The value for "fbc_fragments_resolved" must be a list of non-empty strings',
  },
  bundle_replacements: {
    holds: (value) => isObject(value) && Object.values(value).every((text) => typeof text === 'string'),
    message: 'The "bundle_replacements" key must be a dictionary object mapping from strings to strings',
  },
  omps_operator_version: {
    holds: (value) => isNonEmptyString(value) && isJson(value),
    message: 'The value for "omps_operator_version" must be a non-empty string',
  },
};

/** Image keys in the order in which their pull specs are checked. */
const IMAGES = [
  'binary_image',
  'binary_image_resolved',
  'bundle_image',
  'from_bundle_image_resolved',
  'from_index_resolved',
  'fbc_fragment',
  'fbc_fragment_resolved',
  'index_image',
  'index_image_resolved',
  'internal_index_image_copy',
  'internal_index_image_copy_resolved',
  'parent_bundle_image_resolved',
  'source_from_index_resolved',
  'target_index_resolved',
];

function isListOfStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((member) => typeof member === 'string');
}

/** The checks of a PATCH that need no id (rest-api.md §6, checks 4 and 5). */
export function checkPatchBody(body: unknown): JsonObject {
  if (!isObject(body)) refuse('The input data must be a JSON object');
  if (Object.keys(body).length === 0) refuse('At least one key must be specified to update the request');
  refuseBeyondLimits(PatchBody, body);
  return body;
}

/** Checks 7 to 10: what this type of request lets workers say. Pull specs are checked after the transition (§6, 12). */
export function checkPatch(body: JsonObject, type: RequestType): Patch {
  const mutable = ['arches', 'state', 'state_reason', ...type.outcome, ...type.ignored];
  if (type.bundles !== null) mutable.push('bundle_mapping');
  const foreign = Object.keys(body).filter((key) => !mutable.includes(key));
  if (foreign.length > 0) refuse(`The following keys are not allowed: ${foreign.join(', ')}`);
  for (const [key, value] of Object.entries(body)) {
    const rule = RULES[key];
    if (rule ? !rule.holds(value) : !isNonEmptyString(value)) {
      refuse(rule?.message ?? `The value for "${key}" must be a non-empty string`);
    }
  }
  const state = checkState(body);
  const kept = Object.entries(body).filter(([key]) => (type.outcome as readonly string[]).includes(key));
  const outcome: Patch['outcome'] = Outcome.parse(Object.fromEntries(kept));
  if (body.arches !== undefined) outcome.arches = body.arches as string[];
  if (outcome.fbc_fragments_resolved) outcome.fbc_fragments_resolved = distinct(outcome.fbc_fragments_resolved);
  if (body.bundle_mapping !== undefined) outcome.bundle_mapping = body.bundle_mapping as Record<string, string[]>;
  return { state, outcome };
}

/** Check 12 and, last, text that cannot be stored; `body` has passed `checkPatch`. */
export function checkPatchedImages(body: JsonObject): void {
  const images = IMAGES.filter((key) => body[key] !== undefined).map((key) => body[key] as string);
  const mapped = Object.values((body.bundle_mapping ?? {}) as Record<string, string[]>).flat();
  const fragments = (body.fbc_fragments_resolved ?? []) as string[];
  for (const image of [...images, ...mapped, ...fragments]) checkPullSpec(image);
  refuseUnstorable(body);
}

function checkState({ state, state_reason: reason }: JsonObject): Patch['state'] {
  if (state === undefined && reason === undefined) return null;
  if (reason === undefined) refuse('The "state_reason" key is required when "state" is supplied');
  if (state === undefined) refuse('The "state" key is required when "state_reason" is supplied');
  return { name: checkStateName(state as string), reason: reason as string };
}

/** A state by its name, for PATCH and for the filter of lists. */
export function checkStateName(name: string): State {
  const state = STATES.find((known) => known === name);
  if (state === undefined) {
    const valid = [...STATES].sort().join(', ');
    refuse(`${name} is not a valid build request state. Valid states are: ${valid}`);
  }
  return state;
}

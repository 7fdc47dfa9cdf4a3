import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { add } from './add/api.ts';
import { AddBody, checkAddMember } from './add/payload.ts';
import { isFalsy, isObject, type JsonObject, refuse } from './checks.ts';
import { AnnotationsField, MEMBERS } from './fields.ts';
import { refuseBeyondLimits } from './limits.ts';
import { regenerateBundle } from './regenerate-bundle/api.ts';
import { rm } from './rm/api.ts';
import { acceptable, type Caller, type Checked, type RequestType } from './type.ts';

/** A request that passed its checks, with its type. */
export interface Submitted {
  type: RequestType;
  checked: Checked<unknown>;
}

type CheckMember = (member: JsonObject, caller: Caller) => Submitted;

export interface BatchRoute {
  summary: string;
  check: CheckMember;
  /** The types a member can have. */
  types: readonly RequestType[];
  /** zod schema of the POST body as clients should send it, with all limits. */
  body: z.ZodObject;
}

/** An addition in a batch: unlike a single one it must have bundles, and may leave the index out (rest-api.md §2.6). */
const AddMember = AddBody.partial({ from_index: true }).required({ bundles: true });

/** The batch routes and how each tells what a member is (rest-api.md §2.6). */
export const BATCHES: Readonly<Record<string, BatchRoute>> = {
  'regenerate-bundle-batch': {
    summary: 'Several bundles to regenerate, all or none',
    types: [regenerateBundle],
    body: batchOf([regenerateBundle.body]),
    check: (member, caller) => ({ type: regenerateBundle, checked: regenerateBundle.check(member, caller) }),
  },
  'add-rm-batch': {
    summary: 'Several additions and removals, all or none',
    types: [add, rm],
    body: batchOf([AddMember, rm.body]),
    check: (member, caller) => {
      if (!isFalsy(member.operators)) return { type: rm, checked: rm.check(member, caller) };
      if (isFalsy(member.bundles)) refuse('Build request is not a valid Add/Rm request.');
      refuseBeyondLimits(AddMember, member);
      return { type: add, checked: acceptable(checkAddMember(member, caller), caller) };
    },
  },
};

/** A batch's body: other keys are ignored (rest-api.md §2.6). */
function batchOf(members: readonly z.ZodObject[]) {
  return z.looseObject({
    annotations: AnnotationsField.optional(),
    build_requests: z.array(z.union(members)).min(1).max(MEMBERS),
  });
}

/** What the whole body of a batch may have; members have limits of their own, so that errors name the member. */
const WholeBatch = batchOf([z.looseObject({})]);

/**
 * The checks of a batch's body and of all its members.
 *
 * @throws Failure `request_invalid`, naming the member; a member's 403 is thrown as it is
 */
export function checkBatch(body: unknown, checkMember: CheckMember, caller: Caller): Submitted[] {
  const members = isObject(body) ? body.build_requests : undefined;
  if (!isObject(body) || !Array.isArray(members) || members.length === 0) {
    refuse('The input data must be a JSON object and the "build_requests" value must be a non-empty array');
  }
  if (Object.hasOwn(body, 'annotations') && !isObject(body.annotations)) {
    refuse('The value of "annotations" must be a JSON object');
  }
  refuseBeyondLimits(WholeBatch, body);
  return members.map((member: unknown, index) => {
    try {
      return isObject(member) ? checkMember(member, caller) : refuse('The input data must be a JSON object');
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.code !== 'request_invalid') throw thrown;
      const message = thrown.message.replace(/\.+$/, '');
      throw new Failure('request_invalid', `${message}. This occurred on the build request in index ${index}.`);
    }
  });
}

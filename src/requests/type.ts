import { z } from 'zod';
import type { Outcome } from '../db/outcome.ts';
import type { RequestTypeName } from '../db/schema.ts';
import type { Secrets } from '../db/secrets.ts';
import { isObject, type JsonObject, refuseUnstorable } from './checks.ts';
import { refuseBeyondLimits } from './limits.ts';
import { type ManagedIndexes, refuseUnmanageable } from './managed.ts';

/** An object of strings; unlike zod's records it keeps every key, `__proto__` included. */
export const StringMap = z
  .custom<Record<string, string>>(
    (value) => isObject(value) && Object.values(value).every((text) => typeof text === 'string'),
  )
  .meta({ type: 'object', additionalProperties: { type: 'string' } });

/** A pull spec or another text of an answer; null while it is not known. */
export const TextOrNull = z.string().nullable();

/** `YYYY-MM-DDTHH:MM:SS.ffffffZ`, the fraction left out when it is zero (rest-api.md §0). */
export const Instant = z
  .string()
  .regex(/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{6})?Z$/)
  .meta({ description: 'UTC; six digits of fraction, or none when they are all zero' });

/** What the checks of a payload need to know besides the payload. */
export interface Caller {
  /** The principal; null = anonymous. */
  user: string | null;
  /** Whether clients must name the binary image: the configuration has none (X11). */
  binaryImageRequired: boolean;
  graphModeOptions: readonly string[];
  graphModeIndexAllowList: readonly string[];
  /** The indexes of the configuration; there are none when absent. */
  managed?: ManagedIndexes;
}

/** A payload that passed its checks, ready to be stored. */
export interface Checked<P> {
  /** The stored form: everything the worker needs but the secrets. */
  payload: P;
  secrets: Secrets;
  /** Every pull spec in the payload, in any role. */
  pullSpecs: string[];
  /** What the `from_index` filters look at; null where the type has none. */
  fromIndex: string | null;
}

/** A link to an artifact with the time from which it may be gone (rest-api.md §3.2). */
export const Link = z.strictObject({ expiration: Instant, url: z.string() });
export type Link = z.infer<typeof Link>;

/** A stored request as a view sees it. */
export interface Viewed<P> {
  payload: P;
  outcome: Outcome;
  /** Operator package of pull specs, where known (rest-api.md §3.4). */
  packages: ReadonlyMap<string, string>;
  links: {
    /** Null when the service keeps no such artifacts. */
    relatedBundles: Link | null;
    nestedBundles: Link;
  };
  /** Absolute URL of `/api/v1/builds/{id}/{route}`. */
  url(route: string): string;
}

interface Definition<P, A extends z.ZodObject> {
  name: RequestTypeName;
  /** One sentence for people. */
  summary: string;
  /** zod schema of the stored payload. */
  payload: z.ZodType<P>;
  /** zod schema of the POST body as clients should send it, with all limits; the checks accept other empty values, too. */
  body: z.ZodObject;
  /** zod schema of what `view` gives. */
  answer: A;
  /** The checks of a POST body in their order (rest-api.md §2). Fails `request_invalid` (400) or `request_forbidden` (403). */
  check(body: JsonObject, caller: Caller): Checked<P>;
  /** The keys of the answer that are the type's own (rest-api.md §3.1). */
  view(request: Viewed<P>): z.input<A>;
  /** Keys of the outcome a worker may PATCH besides `arches` (rest-api.md §6). */
  outcome: readonly (keyof Outcome)[];
  /** Keys that PATCH checks and then drops. */
  ignored: readonly string[];
  /** The bundles whose packages the answer shows; only types that have them accept a `bundle_mapping`. */
  bundles?: (payload: P) => readonly string[];
  organization?: (payload: P) => string | null;
}

/** The API side of a request type; payloads are unknown outside of the type's own folder. */
export interface RequestType {
  name: RequestTypeName;
  summary: string;
  payload: z.ZodType;
  body: z.ZodObject;
  answer: z.ZodObject;
  check(body: JsonObject, caller: Caller): Checked<unknown>;
  view(request: Viewed<unknown>): JsonObject;
  outcome: readonly (keyof Outcome)[];
  ignored: readonly string[];
  bundles: ((payload: unknown) => readonly string[]) | null;
  /** The organization in batch messages and artifact errors; null for types without one. */
  organization(payload: unknown): string | null;
}

/**
 * Closes a type's definition: stored payloads are parsed before the type sees them; what is beyond the limits of the
 * body's schema is refused before any other check, unstorable text after all of them.
 */
export function requestType<P, A extends z.ZodObject>(definition: Definition<P, A>): RequestType {
  const { payload, bundles, organization } = definition;
  return {
    ...definition,
    check: (body, caller) => {
      refuseBeyondLimits(definition.body, body);
      return acceptable(definition.check(body, caller), caller);
    },
    view: (request) => definition.view({ ...request, payload: payload.parse(request.payload) }),
    bundles: bundles ? (stored) => bundles(payload.parse(stored)) : null,
    organization: (stored) => organization?.(payload.parse(stored)) ?? null,
  };
}

/** A checked payload after the last checks of all: text that cannot be stored (rest-api.md D14), tags of others. */
export function acceptable<P>(checked: Checked<P>, caller: Caller): Checked<P> {
  refuseUnstorable(checked.payload);
  refuseUnmanageable(checked.payload, caller.managed);
  return checked;
}

import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import type { StoredRequest } from '../db/requests.ts';
import { STATES } from '../db/schema.ts';
import { requestTypeNamed } from './all.ts';
import { byCodePoint, type JsonObject } from './checks.ts';
import { parseNumbersAsWritten } from './json.ts';
import { Instant, Link, type RequestType, TextOrNull } from './type.ts';

/** What answers about requests need to know of the service. */
export interface Surroundings {
  /** Base of absolute URLs, without slash at the end. */
  base: string;
  daysToLive: number;
  /** Which artifacts the service keeps; nested bundles are always shown. */
  keeps: { logs: boolean; relatedBundles: boolean };
}

/** The surroundings that the configuration of artifacts gives. */
export function surroundings(storage: Config['storage'], base: string): Surroundings {
  return {
    base,
    daysToLive: storage.daysToLive,
    keeps: { logs: storage.logsDir !== undefined, relatedBundles: storage.relatedBundlesDir !== undefined },
  };
}

const Count = z.int().positive();
const State = z.enum(STATES);

/** The keys every request has (rest-api.md §3.1). */
const Common = z.strictObject({
  id: Count,
  batch: Count,
  user: TextOrNull,
  arches: z.array(z.string()),
  state: State,
  state_reason: z.string(),
  updated: Instant,
});

/** The keys of the verbose form alone. */
const Verbose = z.strictObject({
  batch_annotations: z.record(z.string(), z.unknown()).nullable(),
  /** Newest first. */
  state_history: z.array(z.strictObject({ state: State, state_reason: z.string(), updated: Instant })),
  logs: Link.optional(),
});

/** What an answer about a request of this type holds, in lists and in messages. */
export const shortAnswer = (type: RequestType): z.ZodObject =>
  Common.extend({ request_type: z.literal(type.name), ...type.answer.shape });

/** The same in the verbose form. */
export const verboseAnswer = (type: RequestType): z.ZodObject => shortAnswer(type).extend(Verbose.shape);

/** The non-verbose JSON object of a request (rest-api.md §3.1), as lists and messages show it. */
export function requestObject(request: StoredRequest, around: Surroundings): JsonObject {
  const { id, updated, outcome, packages } = request;
  const url = (route: string) => `${around.base}/api/v1/builds/${id}/${route}`;
  const link = (route: string) => linkTo(url(route), updated, around.daysToLive);
  const own = requestTypeNamed(request.type).view({
    payload: request.payload,
    outcome,
    packages,
    url,
    links: {
      relatedBundles: around.keeps.relatedBundles ? link('related_bundles') : null,
      nestedBundles: link('nested-bundles'),
    },
  });
  return {
    ...own,
    id,
    batch: request.batchId,
    request_type: request.type,
    user: request.user,
    arches: [...(outcome.arches ?? [])].sort(byCodePoint),
    state: request.state,
    state_reason: request.stateReason,
    updated,
  };
}

/** The verbose JSON object of a request: with its batch's annotations, its history and the link to its log. */
export function verboseRequestObject(request: StoredRequest, around: Surroundings): JsonObject {
  const { base, daysToLive } = around;
  const logs = linkTo(`${base}/api/v1/builds/${request.id}/logs`, request.updated, daysToLive);
  return {
    ...requestObject(request, around),
    batch_annotations: request.annotations === null ? null : parsedAnnotations(request.annotations),
    state_history: request.history.map(({ state, stateReason, updated }) => ({
      state,
      state_reason: stateReason,
      updated,
    })),
    ...(around.keeps.logs ? { logs } : {}),
  };
}

let latest: { text: string; value: unknown } = { text: '{}', value: {} };

/** The requests of a batch come one after the other and share their annotations, which are dear to parse. */
function parsedAnnotations(text: string): unknown {
  if (text !== latest.text) latest = { text, value: parseNumbersAsWritten(text) };
  return latest.value;
}

/** `updated` plus whole days, in the form of rest-api.md §0. */
export function expirationOf(updated: string, days: number): string {
  const seconds = new Date(Date.parse(`${updated.slice(0, 19)}Z`) + days * 86_400_000).toISOString().slice(0, 19);
  return seconds + updated.slice(19);
}

function linkTo(url: string, updated: string, daysToLive: number): Link {
  return { expiration: expirationOf(updated, daysToLive), url };
}

import type { StateEntry, StoredRequest } from '../db/requests.ts';
import { requestTypeNamed } from './all.ts';
import { byCodePoint, type JsonObject } from './checks.ts';
import { parseNumbersAsWritten } from './json.ts';
import type { ArtifactRoute, Link } from './type.ts';

/** What answers about requests need to know of the service. */
export interface Surroundings {
  /** Base of absolute URLs, without slash at the end. */
  base: string;
  daysToLive: number;
  /** Which artifacts the service keeps; nested bundles are always shown. */
  keeps: { logs: boolean; relatedBundles: boolean };
  /** Operator package of pull specs, where known; for the bundles of all requests answered together. */
  packages: ReadonlyMap<string, string>;
}

/** The non-verbose JSON object of a request (rest-api.md §3.1), as lists and messages show it. */
export function requestObject(request: StoredRequest, around: Surroundings): JsonObject {
  const { id, updated, outcome } = request;
  const url = (route: string) => `${around.base}/api/v1/builds/${id}/${route}`;
  const own = requestTypeNamed(request.type).view({
    payload: request.payload,
    outcome,
    packages: around.packages,
    url,
    link: (route) => (keeps(around, route) ? linkTo(url(route), updated, around.daysToLive) : null),
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
export function verboseRequestObject(
  request: StoredRequest,
  history: readonly StateEntry[],
  around: Surroundings,
): JsonObject {
  const { base, daysToLive } = around;
  const logs = linkTo(`${base}/api/v1/builds/${request.id}/logs`, request.updated, daysToLive);
  return {
    ...requestObject(request, around),
    batch_annotations: request.annotations === null ? null : parseNumbersAsWritten(request.annotations),
    state_history: history.map(({ state, stateReason, updated }) => ({ state, state_reason: stateReason, updated })),
    ...(around.keeps.logs ? { logs } : {}),
  };
}

/** The bundles of these requests whose packages their answers show. */
export function bundlesOf(requests: readonly StoredRequest[]): string[] {
  return requests.flatMap(({ type, payload }) => requestTypeNamed(type).bundles?.(payload) ?? []);
}

/** `updated` plus whole days, in the form of rest-api.md §0. */
export function expirationOf(updated: string, days: number): string {
  const seconds = new Date(Date.parse(`${updated.slice(0, 19)}Z`) + days * 86_400_000).toISOString().slice(0, 19);
  return seconds + updated.slice(19);
}

function linkTo(url: string, updated: string, daysToLive: number): Link {
  return { expiration: expirationOf(updated, daysToLive), url };
}

function keeps({ keeps: { logs, relatedBundles } }: Surroundings, route: ArtifactRoute): boolean {
  return { logs, related_bundles: relatedBundles, 'nested-bundles': true }[route];
}

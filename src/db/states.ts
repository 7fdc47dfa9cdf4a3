import { eq, sql } from 'drizzle-orm';
import { Failure } from '../errors/failure.ts';
import { Outcome } from './outcome.ts';
import type { Database } from './pool.ts';
import { assignPackages, learnPullSpecs } from './pull-specs.ts';
import { outbox, requestStates, requests, type State } from './schema.ts';

/**
 * Appends a state to a request's history, the only way its state ever changes, and announces it. Takes the row lock of
 * the request, so concurrent writers follow one another. Announced is the outcome of this moment: record it before.
 *
 * @param baseUrl base of URLs in the message; that of the request's submission when not given
 * @returns `unchanged` when state and reason equal the newest entry: nothing is appended (rest-api.md D15)
 * @throws Failure `request_finished` when the request is final and `state` differs; `unexpected` for an unknown id
 */
export async function addState(
  tx: Database,
  requestId: number,
  state: State,
  reason: string,
  baseUrl: string | null = null,
): Promise<'added' | 'unchanged'> {
  const [current] = await tx
    .select({ state: requests.state, reason: requests.stateReason })
    .from(requests)
    .where(eq(requests.id, requestId))
    .for('update');
  if (!current) throw new Failure('unexpected', `There is no request ${requestId}`);
  if (current.state === state && current.reason === reason) return 'unchanged';
  checkTransition(current.state, state);
  const ends = current.state === 'in_progress' && state !== 'in_progress';
  await tx.execute(sql`
    with entry as (
      insert into ${requestStates} (request_id, state, state_reason) values (${requestId}, ${state}, ${reason})
      returning id)
    insert into ${outbox} (kind, request_id, batch_id, state_id, outcome, ends, base_url)
    select 'build', ${requests.id}, ${requests.batchId}, entry.id, ${requests.outcome}, ${ends}, ${baseUrl}
    from entry, ${requests} where ${requests.id} = ${requestId}`);
  return 'added';
}

/** Refuses a change of a final state (rest-api.md §5). Fails `request_finished`. */
export function checkTransition(from: State, to: State): void {
  if (from !== 'in_progress' && from !== to) {
    throw new Failure('request_finished', `A ${from} request cannot change states`);
  }
}

/**
 * Merges what a worker found out or made into the request (rest-api.md §6): given keys replace, `arches` only ever
 * grow, `bundle_mapping` names the package of each pull spec for all requests. Image values become known pull specs.
 */
export async function recordOutcome(
  tx: Database,
  requestId: number,
  partial: Outcome & { bundle_mapping?: Record<string, string[]> },
): Promise<void> {
  const { bundle_mapping, ...values } = partial;
  const { arches, ...replaced } = Outcome.parse(values);
  if (arches?.length || Object.keys(replaced).length > 0) {
    const merged = sql`${requests.outcome} || ${JSON.stringify(replaced)}::jsonb`;
    const union = sql`(select coalesce(jsonb_agg(distinct arch), '[]'::jsonb) from jsonb_array_elements(
      coalesce(${requests.outcome} -> 'arches', '[]'::jsonb) || ${JSON.stringify(arches ?? [])}::jsonb) as arch)`;
    await tx
      .update(requests)
      .set({
        outcome: arches?.length ? sql`${merged} || jsonb_build_object('arches', ${union})` : merged,
        ...(replaced.index_image === undefined ? {} : { indexImage: replaced.index_image }),
      })
      .where(eq(requests.id, requestId));
  }
  const mapped = Object.values(bundle_mapping ?? {}).flat();
  // All in one statement and sorted there: transactions that meet never wait crosswise.
  await learnPullSpecs(tx, [...imagesOf(replaced), ...mapped]);
  await assignPackages(tx, bundle_mapping ?? {});
}

/** The values of an outcome that are pull specs. */
function imagesOf({ fbc_fragments_resolved, distribution_scope, omps_operator_version, ...images }: Outcome): string[] {
  const { arches: _arches, ...single } = images;
  return [...Object.values(single), ...(fbc_fragments_resolved ?? [])].filter((image) => image !== undefined);
}

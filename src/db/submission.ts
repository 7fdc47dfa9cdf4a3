import { sql } from 'drizzle-orm';
import { z } from 'zod';
import type { Database } from './pool.ts';
import { digestOf } from './pull-specs.ts';
import { batches, outbox, pullSpecs, type RequestTypeName, requestStates, requests } from './schema.ts';

/** The only reason the API itself gives, on POST (rest-api.md §5). */
export const INITIATED = 'The request was initiated';

export interface NewRequest {
  type: RequestTypeName;
  payload: unknown;
  /** What the `from_index` filters look at. */
  fromIndex: string | null;
}

/** What is stored together or not at all. */
export interface Submission {
  user: string | null;
  /** JSON text; null when the client gave none. */
  annotations: string | null;
  requests: readonly NewRequest[];
  /** Every pull spec in the payloads becomes known (rest-api.md §4). */
  pullSpecs: readonly string[];
  /** Base of URLs in its messages, by the client's own call; null when there was none. */
  baseUrl?: string | null;
}

const Ids = z.array(z.object({ id: z.number() }));

/**
 * Stores a batch: its requests with their first states, the announcements of those and of itself, the jobs that will
 * admit the requests to the worker and the pull specs, all in one statement, so that a submission costs one round trip.
 *
 * @returns the ids of the requests, in their order
 */
export async function storeSubmission(tx: Database, submission: Submission): Promise<number[]> {
  const { user, annotations, baseUrl = null } = submission;
  // Sorted, so that two transactions never wait crosswise.
  const specs = [...new Set(submission.pullSpecs)].sort();
  const rows = submission.requests.map(({ type, payload, fromIndex }) => ({ type, payload, from_index: fromIndex }));
  const { rows: stored } = await tx.execute(sql`
    with batch as (insert into ${batches} (annotations, base_url) values (${annotations}, ${baseUrl}) returning id),
    request as (
      insert into ${requests} (batch_id, type, "user", payload, from_index)
      select batch.id, given.type, ${user}, given.payload, given.from_index
      from batch, rows from (jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
        as (type text, payload jsonb, from_index text)) with ordinality as given(type, payload, from_index, place)
      order by given.place
      returning id),
    state as (
      insert into ${requestStates} (request_id, state, state_reason)
      select id, 'in_progress', ${INITIATED} from request order by id
      returning id, request_id),
    announced as (
      insert into ${outbox} (kind, request_id, batch_id, state_id, outcome)
      select kind, request_id, batch.id, state_id, outcome from batch, (
        select 'build' as kind, request_id, id as state_id, '{}'::jsonb as outcome from state
        union all select 'batch', null, null, null) as news
      order by request_id nulls last),
    known as (
      insert into ${pullSpecs} (digest, spec)
      select * from unnest(${sql.param(specs.map(digestOf))}::bytea[], ${sql.param(specs)}::text[])
      on conflict do nothing)
    select id, (graphile_worker.add_job('admit', json_build_object('requestId', id),
      max_attempts := 1000, job_key := 'admit:' || id)).id as job
    from request order by id`);
  return Ids.parse(stored).map(({ id }) => id);
}

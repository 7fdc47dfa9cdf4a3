import { sql } from 'drizzle-orm';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { commitGroup } from './commit-group.ts';
import { sqlState } from './failure.ts';
import type { Database, DatabasePool } from './pool.ts';
import { prepared } from './prepared.ts';
import { digestOf } from './pull-specs.ts';
import { instantText, Packages, packagesOf, type StoredRequest } from './requests.ts';
import { batches, outbox, pullSpecs, type RequestTypeName, requestSecrets, requestStates, requests } from './schema.ts';
import { hasSecrets, type SealingKey, type Secrets, sealSecrets } from './secrets.ts';

/** The only reason the API itself gives, on POST (rest-api.md §5). */
export const INITIATED = 'The request was initiated';

export interface NewRequest {
  type: RequestTypeName;
  payload: unknown;
  /** What the `from_index` filters look at. */
  fromIndex: string | null;
  secrets: Secrets;
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

/** A submission as it goes to the database: its secrets are sealed. */
export interface SealedSubmission extends Submission {
  json: string;
}

/**
 * Stores submissions as they come; those that come at the same time share a statement and its commit. Fails like
 * `DatabasePool.read`.
 */
export function submissionGroup(
  database: DatabasePool,
  key: SealingKey,
): (submission: Submission) => Promise<readonly StoredRequest[]> {
  const store = commitGroup({
    work: (group: readonly SealedSubmission[]) => database.read((db) => storeSubmissions(db, group)),
    weigh: ({ json }) => json.length,
    // After a lost connection nobody knows whether the group was stored; after a refusal it was not.
    isEach: (thrown) => !(thrown instanceof Failure) && sqlState(thrown) !== undefined,
  });
  return async (submission) => store(await database.read((db) => sealSubmission(db, key, submission)));
}

/** Seals the secrets of a submission, under ids that are taken for its requests if it has any. */
export async function sealSubmission(db: Database, key: SealingKey, submission: Submission): Promise<SealedSubmission> {
  const { user, annotations, baseUrl, requests } = submission;
  // Null = the next id; secrets are bound to theirs (db/secrets.ts).
  const ids = requests.some(({ secrets }) => hasSecrets(secrets)) ? await takeIds(db, requests.length) : [];
  const rows = requests.map(({ type, payload, fromIndex, secrets }, at) => {
    const id = ids[at];
    const sealed = id === undefined ? null : sealSecrets(key, id, secrets);
    return { taken_id: id, type, user, payload, from_index: fromIndex, sealed: sealed?.toString('base64') };
  });
  return { ...submission, json: JSON.stringify({ annotations, base_url: baseUrl, requests: rows }) };
}

async function takeIds(db: Database, count: number): Promise<number[]> {
  const { rows } = await db.execute(
    sql`select nextval('requests_id_seq')::int as id from generate_series(1, ${count})`,
  );
  return z
    .array(z.object({ id: z.number() }))
    .parse(rows)
    .map(({ id }) => id);
}

/**
 * Batches with their requests and first states, the announcements of those and of the batches, the jobs that will admit
 * the requests to the worker, sealed secrets and pull specs: one statement for any number of submissions, so that they
 * share a round trip and a commit, planned once per connection.
 */
const store = prepared(
  'store_submissions',
  sql`
  with batch as materialized (
    select nextval('batches_id_seq')::int as id, given.*
    from rows from (jsonb_to_recordset(${sql.placeholder('batches')}::jsonb) as (annotations text, base_url text,
        requests jsonb))
      with ordinality as given(annotations, base_url, requests, place)),
  request as materialized (
    select coalesce(given.taken_id, nextval('requests_id_seq'))::int as id, batch.id as batch_id, given.*
    from batch, rows from (jsonb_to_recordset(batch.requests) as (taken_id int, type text, "user" text, payload jsonb,
        from_index text, sealed text))
      with ordinality as given(taken_id, type, "user", payload, from_index, sealed, place)
    order by batch.place, given.place),
  stored_batch as (
    insert into ${batches} (id, annotations, base_url) select id, annotations, base_url from batch),
  stored_request as (
    insert into ${requests} (id, batch_id, type, "user", payload, from_index, state_reason)
    select id, batch_id, type, "user", payload, from_index, ${INITIATED} from request
    returning id, batch_id),
  stored_secret as (
    insert into ${requestSecrets} (request_id, sealed)
    select id, decode(sealed, 'base64') from request where sealed is not null),
  state as (
    insert into ${requestStates} (request_id, state, state_reason)
    select id, 'in_progress', ${INITIATED} from stored_request order by id
    returning id, request_id),
  announced as (
    insert into ${outbox} (kind, request_id, batch_id, state_id, outcome)
    select kind, request_id, batch_id, state_id, outcome from (
      select 'build' as kind, request_id, batch_id, state.id as state_id, '{}'::jsonb as outcome
      from state join stored_request on stored_request.id = request_id
      union all select 'batch', null, id, null, null from batch) as news
    order by batch_id, request_id nulls last),
  known as (
    insert into ${pullSpecs} (digest, spec)
    select * from unnest(${sql.placeholder('digests')}::bytea[], ${sql.placeholder('specs')}::text[])
    on conflict do nothing),
  job as materialized (
    select count(*) from graphile_worker.add_jobs(array(
      select row('admit', json_build_object('requestId', id), null, null, 1000, 'admit:' || id, null, null)
        ::graphile_worker.job_spec from request order by id)))
  select request.id, batch_id, ${instantText(sql`now()`)} as updated, ${packagesOf(sql`request.payload`)} as packages
  from request, job order by batch_id, place`,
);

const Stored = z.array(z.object({ id: z.number(), batch_id: z.number(), updated: z.string(), packages: Packages }));

/**
 * Stores submissions, all or none, each as a batch of its own.
 *
 * @returns the requests of each as `findRequest` would give them, in their order
 */
export async function storeSubmissions(
  db: Database,
  submissions: readonly SealedSubmission[],
): Promise<StoredRequest[][]> {
  // Sorted, so that two transactions never wait crosswise.
  const specs = [...new Set(submissions.flatMap(({ pullSpecs }) => pullSpecs))].sort();
  const rows = Stored.parse(
    await store(db, {
      batches: `[${submissions.map(({ json }) => json).join(',')}]`,
      digests: specs.map(digestOf),
      specs,
    }),
  );
  let at = 0;
  return submissions.map(({ user, annotations, requests }) =>
    requests.map(({ type, payload }) => {
      const { id, batch_id, updated, packages } = rows[at++]!;
      const first = { state: 'in_progress' as const, stateReason: INITIATED, updated };
      return {
        ...first,
        id,
        batchId: batch_id,
        annotations,
        type,
        user,
        payload,
        outcome: {},
        deliveryId: null,
        packages: new Map(Object.entries(packages ?? {})),
        history: [first],
      };
    }),
  );
}

import { sql } from 'drizzle-orm';
import {
  bigint,
  bigserial,
  boolean,
  check,
  customType,
  index,
  integer,
  jsonb,
  pgTable,
  primaryKey,
  serial,
  text,
  timestamp,
  unique,
} from 'drizzle-orm/pg-core';

/** The request types of IIB (rest-api.md §3.1). No other may ever appear under v1. */
export const REQUEST_TYPES = [
  'add',
  'rm',
  'regenerate-bundle',
  'merge-index-image',
  'create-empty-index',
  'recursive-related-bundles',
  'fbc-operations',
  'add-deprecations',
] as const;
export type RequestTypeName = (typeof REQUEST_TYPES)[number];

/** The states of a request (rest-api.md §5); the last two are final. */
export const STATES = ['in_progress', 'complete', 'failed'] as const;
export type State = (typeof STATES)[number];

/** Microseconds matter in answers (rest-api.md §0), and a JavaScript Date has only milliseconds: kept as text. */
const instant = (name: string) => timestamp(name, { withTimezone: true, precision: 6, mode: 'string' });
/** A transaction's number, which never comes round again; as text, since it has 64 bits. */
const xid8 = customType<{ data: string }>({ dataType: () => 'xid8' });
const bytea = customType<{ data: Buffer }>({ dataType: () => 'bytea' });

export const batches = pgTable('batches', {
  id: serial('id').primaryKey(),
  /** JSON text as the client sent it: numbers beyond 2^53 survive (rest-api.md §0). Null when none were given. */
  annotations: text('annotations'),
  /** Scheme and host by which the client called: base of URLs in messages where none is configured (rest-api.md §9). */
  baseUrl: text('base_url'),
});

/** A lane: the one queue of the requests that change a branch of a catalog repository. */
export const lanes = pgTable(
  'lanes',
  {
    id: serial('id').primaryKey(),
    /** URL of the repository, as configured. */
    repository: text('repository').notNull(),
    branch: text('branch').notNull(),
  },
  (t) => [unique('lanes_repository_branch').on(t.repository, t.branch)],
);

/** A delivery: what is proposed, built, merged and published together. It carries one request or several. */
export const deliveries = pgTable(
  'deliveries',
  {
    id: serial('id').primaryKey(),
    /** Null for throw-away deliveries: they change no branch that another request reads. */
    laneId: integer('lane_id').references(() => lanes.id),
    state: text('state', { enum: ['open', 'undoing', 'complete', 'undone'] })
      .notNull()
      .default('open'),
    /** Fencing token: taken by each job that works on the delivery; a write with an older one is refused. */
    epoch: integer('epoch').notNull().default(0),
    /** How often it was undone to be made anew on what somebody else had changed; bounded. */
    rebuilds: integer('rebuilds').notNull().default(0),
    /** Values the steps need, decided once after the change and before the first effect. */
    plan: jsonb('plan'),
    /** Why it is being undone: {code, message}. */
    failure: jsonb('failure'),
    /** The last undo that did not work yet; null when there is none. Shown on the request. */
    undoError: text('undo_error'),
    createdAt: instant('created_at').notNull().defaultNow(),
    endedAt: instant('ended_at'),
  },
  (t) => [index('deliveries_open').on(t.laneId).where(sql`${t.endedAt} is null`)],
);

/** The journal: intent before the effect, outcome after it. */
export const deliverySteps = pgTable(
  'delivery_steps',
  {
    deliveryId: integer('delivery_id')
      .notNull()
      .references(() => deliveries.id),
    /** 1, 2, … in order of running; a rebuilt delivery goes on counting. */
    seq: integer('seq').notNull(),
    name: text('name').notNull(),
    intent: jsonb('intent').notNull(),
    outcome: jsonb('outcome'),
    /** Links and counts people want to see, e.g. the merge request's URL. */
    notes: jsonb('notes'),
    startedAt: instant('started_at').notNull().defaultNow(),
    endedAt: instant('ended_at'),
    undoneAt: instant('undone_at'),
  },
  (t) => [
    primaryKey({ columns: [t.deliveryId, t.seq] }),
    // By the image's digest: what made an image that a client names as `from_index`.
    index('delivery_steps_staged').on(sql`(${t.outcome} ->> 'digest')`).where(sql`${t.name} = 'stage'`),
  ],
);

export const requests = pgTable(
  'requests',
  {
    id: serial('id').primaryKey(),
    batchId: integer('batch_id')
      .notNull()
      .references(() => batches.id),
    type: text('type', { enum: REQUEST_TYPES }).notNull(),
    /** The principal, verbatim; null = anonymous. */
    user: text('user'),
    /** The validated payload without secrets, as the type's payload.ts defines it. */
    payload: jsonb('payload').notNull(),
    /** What the worker found out and made (arches, *_resolved, index_image, …), as the type's view.ts defines it. */
    outcome: jsonb('outcome').notNull().default({}),
    /** The newest state, kept here by a trigger on request_states so that lists need no join. */
    state: text('state', { enum: STATES }).notNull().default('in_progress'),
    stateReason: text('state_reason').notNull().default(''),
    updated: instant('updated').notNull().default(sql`now()`),
    submitted: instant('submitted').notNull().default(sql`now()`),
    /** When it became final; kept by the trigger too, as `finalXid` is. */
    completed: instant('completed'),
    /** The transactions that stored and that ended it: what settled totals are counted by (db/totals.ts). */
    submitXid: xid8('submit_xid').notNull().default(sql`pg_current_xact_id()`),
    finalXid: xid8('final_xid'),
    /** Filter columns of GET /builds (rest-api.md §4); null where the type has no such key. */
    fromIndex: text('from_index'),
    indexImage: text('index_image'),
    /** When a worker first began to find out where the change goes; null before that. */
    resolvingSince: instant('resolving_since'),
    /** The lane whose turn the request waits for, or had; null before that is known, and for requests without one. */
    laneId: integer('lane_id').references(() => lanes.id),
    deliveryId: integer('delivery_id').references(() => deliveries.id),
  },
  (t) => [
    index('requests_batch').on(t.batchId),
    index('requests_state').on(t.state, t.id),
    index('requests_type').on(t.type, t.id),
    // b-tree rows are limited to about 2.6 kB (rest-api.md D25): long values are found by hash, prefixes by a cut. That a
    // value and its hash go together is told to the planner by statistics (migrations/0007_statistics.sql).
    index('requests_user_hash').on(sql`md5(${t.user})`, t.id),
    index('requests_from_index_hash').on(sql`md5(${t.fromIndex})`, t.id),
    index('requests_from_index_prefix').on(sql`(left(${t.fromIndex}, 512) collate "C")`, t.id),
    index('requests_index_image_hash').on(sql`md5(${t.indexImage})`, t.id),
    index('requests_submitted').on(t.submitted, t.id),
    index('requests_updated').on(t.updated, t.id),
    index('requests_completed').on(t.completed, t.id),
    index('requests_submit_xid').on(t.submitXid),
    index('requests_final_xid').on(t.finalXid),
    index('requests_fbc_fragments')
      .using('gin', sql`(${t.payload} -> 'fbc_fragments') jsonb_path_ops`)
      .where(sql`${t.type} = 'fbc-operations'`),
    index('requests_delivery').on(t.deliveryId),
    // Those without a delivery: what a lane takes next, and what a lane has to wait for.
    index('requests_waiting').on(t.laneId, t.id).where(sql`${t.state} = 'in_progress' and ${t.deliveryId} is null`),
    check('requests_type_known', sql.raw(`type in (${REQUEST_TYPES.map((type) => `'${type}'`).join(', ')})`)),
    check('requests_state_known', sql.raw(`state in (${STATES.map((state) => `'${state}'`).join(', ')})`)),
  ],
);

/** Append-only: triggers refuse updates, deletes and anything after a final state that changes it. */
export const requestStates = pgTable(
  'request_states',
  {
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    requestId: integer('request_id')
      .notNull()
      .references(() => requests.id),
    state: text('state', { enum: STATES }).notNull(),
    stateReason: text('state_reason').notNull(),
    updated: instant('updated').notNull().default(sql`now()`),
  },
  (t) => [index('request_states_request').on(t.requestId, t.id)],
);

/** Tokens of a request, encrypted; triggers remove the row when request and delivery have ended (rest-api.md §11, D23). */
export const requestSecrets = pgTable('request_secrets', {
  requestId: integer('request_id')
    .primaryKey()
    .references(() => requests.id),
  sealed: bytea('sealed').notNull(),
});

/** Every pull spec the service has seen in any role; the package is global to the pull spec (rest-api.md §3.4). */
export const pullSpecs = pgTable(
  'pull_specs',
  {
    /** sha256 of the spec: the text itself may be longer than an index row can be (rest-api.md D25). */
    digest: bytea('digest').primaryKey(),
    spec: text('spec').notNull(),
    package: text('package'),
  },
  (t) => [index('pull_specs_prefix').on(sql`(left(${t.spec}, 512) collate "C")`)],
);

/** Static tokens of clients; only their digests are here. */
export const apiTokens = pgTable('api_tokens', {
  id: serial('id').primaryKey(),
  /** sha256: the tokens are random, so nothing slower is needed. */
  digest: bytea('digest').notNull().unique(),
  /** The principal whoever shows the token is. */
  user: text('user').notNull(),
  groups: text('groups').array().notNull(),
  createdAt: instant('created_at').notNull().defaultNow(),
  expiresAt: instant('expires_at'),
  revokedAt: instant('revoked_at'),
});

/** First answers of POSTs with an `Idempotency-Key`. */
export const idempotencyKeys = pgTable(
  'idempotency_keys',
  {
    /** Principal and key, hashed together: keys of different principals do not meet. */
    digest: bytea('digest').primaryKey(),
    /** Route and body under the sealing key: bodies hold tokens. */
    fingerprint: bytea('fingerprint').notNull(),
    /** Null only inside the transaction that makes it. */
    answer: text('answer'),
    expiresAt: instant('expires_at').notNull(),
  },
  (t) => [index('idempotency_keys_expiry').on(t.expiresAt)],
);

/**
 * What is to be announced by messages, written in the transaction of the change and removed when the broker has it.
 * What a message says is fixed here; it is put into words when it is sent.
 */
export const outbox = pgTable(
  'outbox',
  {
    /** The order of announcements; of one request also the order of its changes, because those hold its row. */
    id: bigserial('id', { mode: 'number' }).primaryKey(),
    /** A new state of a request, or a new batch. */
    kind: text('kind', { enum: ['build', 'batch'] }).notNull(),
    /** Null for a batch. */
    requestId: integer('request_id').references(() => requests.id),
    batchId: integer('batch_id')
      .notNull()
      .references(() => batches.id),
    /** The entry of the history; null for a batch. */
    stateId: bigint('state_id', { mode: 'number' }),
    /** The request's outcome at that time; null for a batch. */
    outcome: jsonb('outcome'),
    /** Whether the request ended with this state; its batch may end with it. */
    ends: boolean('ends').notNull().default(false),
    /** Base of URLs; null = that of the batch. */
    baseUrl: text('base_url'),
    createdAt: instant('created_at').notNull().defaultNow(),
    attempts: integer('attempts').notNull().default(0),
    lastError: text('last_error'),
  },
  (t) => [index('outbox_ends').on(t.requestId).where(sql`${t.ends}`)],
);

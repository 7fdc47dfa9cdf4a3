import type { Context } from 'hono';
import type { Config } from '../config/schema.ts';
import type { DatabasePool } from '../db/pool.ts';
import type { Form, StoredRequest } from '../db/requests.ts';
import type { SealingKey } from '../db/secrets.ts';
import type { Submission } from '../db/submission.ts';
import type { Totals } from '../db/totals.ts';
import { requestObject, surroundings, verboseRequestObject } from '../requests/answer.ts';
import type { JsonObject } from '../requests/checks.ts';
import type { Log } from '../telemetry/log.ts';
import type { IdentityOf } from './principal.ts';
import type { RequestWatch } from './watch.ts';

/** What the handlers work with. */
export interface Service {
  config: Config;
  database: DatabasePool;
  sealingKey: SealingKey;
  log: Log;
  totals: Totals;
  /** Stores a submission in a transaction that it may share with others that come at the same time. */
  submit(submission: Submission): Promise<readonly StoredRequest[]>;
  watch: RequestWatch;
  /** Aborted when the service ends: streams end with it. */
  closing: AbortSignal;
  identityOf: IdentityOf;
}

/** Scheme and host of absolute URLs in answers, without slash at the end (rest-api.md §0). */
export function baseOf(c: Context, { config }: Service): string {
  if (config.api.publicUrl !== undefined) return config.api.publicUrl.replace(/\/+$/, '');
  const { protocol, host } = new URL(c.req.url);
  // The header and not the URL's host: a default port must stay as the client wrote it.
  return `${protocol}//${c.req.header('host') ?? host}`;
}

/** The JSON objects of requests, in their order; each is made when it is asked for. */
export function* answerObjects(
  requests: readonly StoredRequest[],
  { config: { storage } }: Service,
  { base, form }: { base: string; form: Form },
): Generator<JsonObject> {
  const around = surroundings(storage, base);
  const show = form === 'short' ? requestObject : verboseRequestObject;
  for (const request of requests) yield show(request, around);
}

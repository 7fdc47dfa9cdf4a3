import type { Context } from 'hono';
import type { Config } from '../config/schema.ts';
import type { Database, DatabasePool } from '../db/pool.ts';
import { packagesOf } from '../db/pull-specs.ts';
import { historiesOf, type StoredRequest } from '../db/requests.ts';
import type { SealingKey } from '../db/secrets.ts';
import { bundlesOf, requestObject, type Surroundings, verboseRequestObject } from '../requests/answer.ts';
import type { JsonObject } from '../requests/checks.ts';
import type { Log } from '../telemetry/log.ts';
import type { PrincipalOf } from './principal.ts';

/** What the handlers work with. */
export interface Service {
  config: Config;
  database: DatabasePool;
  sealingKey: SealingKey;
  log: Log;
  principalOf: PrincipalOf;
}

/** Scheme and host of absolute URLs in answers, without slash at the end (rest-api.md §0). */
export function baseOf(c: Context, { config }: Service): string {
  if (config.api.publicUrl !== undefined) return config.api.publicUrl.replace(/\/+$/, '');
  const { protocol, host } = new URL(c.req.url);
  // The header and not the URL's host: a default port must stay as the client wrote it.
  return `${protocol}//${c.req.header('host') ?? host}`;
}

/** The JSON objects of requests, in their order, with everything they show read in at most two queries. */
export async function answerObjects(
  db: Database,
  requests: readonly StoredRequest[],
  { config }: Service,
  { base, form }: { base: string; form: 'short' | 'verbose' },
): Promise<JsonObject[]> {
  const around: Surroundings = {
    base,
    daysToLive: config.storage.daysToLive,
    keeps: {
      logs: config.storage.logsDir !== undefined,
      relatedBundles: config.storage.relatedBundlesDir !== undefined,
    },
    packages: await packagesOf(db, bundlesOf(requests)),
  };
  if (form === 'short') return requests.map((request) => requestObject(request, around));
  const ids = requests.map(({ id }) => id);
  const histories = await historiesOf(db, ids);
  return requests.map((request) => verboseRequestObject(request, histories.get(request.id) ?? [], around));
}

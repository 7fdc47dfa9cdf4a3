import { sql } from 'drizzle-orm';
import { type Context, type Handler, Hono } from 'hono';
import type { Config } from '../config/schema.ts';
import type { DatabasePool } from '../db/pool.ts';
import { readSealingKey } from '../db/secrets.ts';
import { submissionGroup } from '../db/submission.ts';
import { settledTotals } from '../db/totals.ts';
import { REQUEST_TYPES } from '../requests/all.ts';
import { BATCHES } from '../requests/batches.ts';
import type { Log } from '../telemetry/log.ts';
import { inSecretScope } from '../telemetry/secrets.ts';
import { answerError, errorJson, fail, json, TEXTS } from './answers.ts';
import { getArtifact, getDeprecationSchema } from './artifacts.ts';
import { bearerReader } from './bearer.ts';
import { getBuild, listBuilds, patchBuild } from './builds.ts';
import { documentationFiles } from './documentation.ts';
import { getEvents, getSteps } from './events.ts';
import { identityReader } from './principal.ts';
import type { Service } from './service.ts';
import { postBatch, postRequest } from './submit.ts';
import { requestWatch } from './watch.ts';

export interface AppOptions {
  config: Config;
  database: DatabasePool;
  log: Log;
  /** Ends the streams of events; they run on when not given. */
  closing?: AbortSignal;
}

type Method = 'GET' | 'POST' | 'PATCH';

/**
 * The REST API as a hono app (rest-api.md). Users are believed only from trusted peers, whose address is read from
 * `c.env.incoming` as @hono/node-server gives it.
 *
 * @throws Failure `configuration_invalid` for an unreadable sealing key or a wrong trusted proxy
 */
export function createApp({ config, database, log, closing }: AppOptions): Hono {
  const sealingKey = readSealingKey(config.secretKeyFile);
  const service: Service = {
    config,
    database,
    log,
    sealingKey,
    submit: submissionGroup(database, sealingKey),
    totals: settledTotals(),
    watch: requestWatch(database, log),
    closing: closing ?? new AbortController().signal,
    identityOf: identityReader(config.api, bearerReader(config.api, database)),
  };
  const app = new Hono();
  app.use((_c, next) => inSecretScope(next));
  app.onError((thrown, c) => answerError(thrown, c, log));
  app.notFound((c) => errorJson(c, 404, TEXTS.notFound));

  const builds = '/api/v1/builds';
  const build = `${builds}/:id{[0-9]+}`;
  for (const [path, handler] of documentationFiles()) route(app, path, { GET: handler });
  route(app, '/api/v1/healthcheck', { GET: healthcheck(database, log) });
  route(app, builds, { GET: listBuilds(service) });
  for (const type of REQUEST_TYPES) route(app, `${builds}/${type.name}`, { POST: postRequest(service, type) });
  for (const [name, batch] of Object.entries(BATCHES)) {
    route(app, `${builds}/${name}`, { POST: postBatch(service, batch) });
  }
  route(app, build, { GET: getBuild(service), PATCH: patchBuild(service) });
  route(app, `${build}/logs`, { GET: getArtifact(service, 'logs') });
  route(app, `${build}/related_bundles`, { GET: getArtifact(service, 'related_bundles') });
  route(app, `${build}/nested-bundles`, { GET: getArtifact(service, 'nested_bundles') });
  route(app, `${build}/deprecation-schema`, { GET: getDeprecationSchema(service) });
  route(app, `${build}/steps`, { GET: getSteps(service) });
  route(app, `${build}/events`, { GET: getEvents(service) });
  return app;
}

/** A path with its methods; OPTIONS is answered, HEAD follows GET, every other method is 405 (rest-api.md §1, D32). */
function route(app: Hono, path: string, handlers: Partial<Record<Method, Handler>>): void {
  const methods = Object.keys(handlers);
  const allow = [...methods, ...(handlers.GET ? ['HEAD'] : []), 'OPTIONS'].join(', ');
  for (const [method, handler] of Object.entries(handlers)) app.on(method, path, handler);
  app.on('OPTIONS', path, () => new Response(null, { status: 200, headers: { allow, 'content-length': '0' } }));
  app.all(path, (c) => errorJson(c, 405, TEXTS.methodNotAllowed, { headers: { allow } }));
}

function healthcheck(database: DatabasePool, log: Log) {
  return async (_c: Context): Promise<Response> => {
    try {
      await database.read((db) => db.execute(sql`select 1`));
    } catch (failure) {
      log.error({ err: failure }, 'health check failed');
      fail(500, TEXTS.unhealthy);
    }
    return json({ status: 'Health check OK' });
  };
}

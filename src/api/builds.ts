import type { Context } from 'hono';
import type { Database } from '../db/pool.ts';
import { findRequest, listRequests, lockRequest, type StoredRequest } from '../db/requests.ts';
import { addState, checkTransition, recordOutcome } from '../db/states.ts';
import { requestTypeNamed } from '../requests/all.ts';
import { checkPatch, checkPatchBody, checkPatchedImages } from '../requests/patch.ts';
import { json, notFound } from './answers.ts';
import { readJsonBody } from './body.ts';
import { requireWorker } from './principal.ts';
import { pageMeta, readFilter, readPage, readQuery, readVerbose } from './query.ts';
import { answerObjects, baseOf, type Service } from './service.ts';

/** `GET /builds` (rest-api.md §4). */
export function listBuilds(service: Service) {
  return (c: Context): Promise<Response> => {
    const query = readQuery(c.req.url);
    const base = baseOf(c, service);
    return service.database.read(async (db) => {
      const filter = await readFilter(query, db);
      const page = readPage(query, service.config.api);
      const offset = (page.page - 1) * page.perPage;
      // Beyond what Postgres can count there is no page either (D6).
      if (!Number.isSafeInteger(offset)) notFound();
      const { items, total } = await listRequests(db, filter, { limit: page.perPage, offset });
      if (items.length === 0 && page.page !== 1) notFound();
      const form = readVerbose(query) ? 'verbose' : 'short';
      const objects = await answerObjects(db, items, service, { base, form });
      return json({ items: objects, meta: pageMeta(base, query, page, total) });
    });
  };
}

/** `GET /builds/{id}`: the verbose object. */
export function getBuild(service: Service) {
  return (c: Context): Promise<Response> =>
    service.database.read(async (db) => {
      const request = (await findRequest(db, idIn(c))) ?? notFound();
      return answerOne(c, db, request, service);
    });
}

/** `PATCH /builds/{id}` (rest-api.md §6): one transaction, nothing is changed when a check fails. */
export function patchBuild(service: Service) {
  return async (c: Context): Promise<Response> => {
    const { api } = service.config;
    requireWorker(c, service.principalOf, api);
    const body = checkPatchBody((await readJsonBody(c, api.bodyLimit)).value);
    return service.database.transaction(async (tx) => {
      const request = (await lockRequest(tx, idIn(c))) ?? notFound();
      const { state, outcome } = checkPatch(body, requestTypeNamed(request.type));
      if (state) checkTransition(request.state, state.name);
      checkPatchedImages(body);
      await recordOutcome(tx, request.id, outcome);
      if (state) await addState(tx, request.id, state.name, state.reason);
      return answerOne(c, tx, (await findRequest(tx, request.id)) ?? notFound(), service);
    });
  };
}

/** The id in the path. */
export function idIn(c: Context): number {
  return Number(c.req.param('id'));
}

async function answerOne(c: Context, db: Database, request: StoredRequest, service: Service): Promise<Response> {
  const [object] = await answerObjects(db, [request], service, { base: baseOf(c, service), form: 'verbose' });
  return json(object);
}

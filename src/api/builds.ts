import type { Context } from 'hono';
import { listRequests } from '../db/list.ts';
import { findRequest, lockRequest, type StoredRequest } from '../db/requests.ts';
import { addState, checkTransition, recordOutcome } from '../db/states.ts';
import { requestTypeNamed } from '../requests/all.ts';
import { writeJson } from '../requests/json.ts';
import { checkPatch, checkPatchBody, checkPatchedImages } from '../requests/patch.ts';
import { json, jsonText, notFound } from './answers.ts';
import { readJsonBody } from './body.ts';
import { requireRole } from './principal.ts';
import { checkKnown, pageMeta, readFilter, readOrder, readPage, readQuery, readVerbose } from './query.ts';
import { answerObjects, baseOf, type Service } from './service.ts';
import { writeList } from './turns.ts';

/** `GET /builds` (rest-api.md §4): one query for a page that holds something. */
export function listBuilds(service: Service) {
  return async (c: Context): Promise<Response> => {
    const query = readQuery(c.req.url);
    const base = baseOf(c, service);
    const filter = readFilter(query);
    const order = readOrder(query);
    const page = readPage(query, service.config.api);
    const form = readVerbose(query) ? 'verbose' : 'short';
    const { found, page: shown } = await service.database.read(async (db) => {
      const found = page && (await listRequests(db, filter, { ...page, order, form }, service.totals));
      // Whatever matches is known; only an empty list may be the fault of a pull spec that is not.
      if (found === null || found.total === 0) await checkKnown(db, filter);
      if (found === null || page === null || (found.items.length === 0 && page.page !== 1)) return notFound();
      return { found, page };
    });
    // Not as one value: a page may have megabytes, and is written over several turns.
    const items = await writeList(answerObjects(found.items, service, { base, form }));
    const meta = writeJson(pageMeta(base, query, shown, found.total));
    return jsonText(`{"items":${items},"meta":${meta}}`, 200);
  };
}

/** `GET /builds/{id}`: the verbose object. */
export function getBuild(service: Service) {
  return (c: Context): Promise<Response> =>
    service.database.read(async (db) => {
      const request = (await findRequest(db, idIn(c))) ?? notFound();
      return answerOne(c, request, service);
    });
}

/** `PATCH /builds/{id}` (rest-api.md §6): one transaction, nothing is changed when a check fails. */
export function patchBuild(service: Service) {
  return async (c: Context): Promise<Response> => {
    const { api } = service.config;
    await requireRole(c, 'worker', service);
    const body = checkPatchBody((await readJsonBody(c, api.bodyLimit)).value);
    return service.database.transaction(async (tx) => {
      const request = (await lockRequest(tx, idIn(c))) ?? notFound();
      const { state, outcome } = checkPatch(body, requestTypeNamed(request.type));
      if (state) checkTransition(request.state, state.name);
      checkPatchedImages(body);
      await recordOutcome(tx, request.id, outcome);
      if (state) await addState(tx, request.id, state.name, state.reason, baseOf(c, service));
      return answerOne(c, (await findRequest(tx, request.id)) ?? notFound(), service);
    });
  };
}

/** The id in the path. */
export function idIn(c: Context): number {
  return Number(c.req.param('id'));
}

function answerOne(c: Context, request: StoredRequest, service: Service): Response {
  const [object] = answerObjects([request], service, { base: baseOf(c, service), form: 'verbose' });
  return json(object);
}

import type { Context } from 'hono';
import type { Database } from '../db/pool.ts';
import { learnPullSpecs } from '../db/pull-specs.ts';
import { findRequests, insertBatch, insertRequest } from '../db/requests.ts';
import { sealSecrets } from '../db/secrets.ts';
import { type BATCHES, checkBatch, type Submitted } from '../requests/batches.ts';
import { isObject, type JsonObject, refuse } from '../requests/checks.ts';
import { parseNumbersAsWritten } from '../requests/json.ts';
import type { Caller, RequestType } from '../requests/type.ts';
import { json } from './answers.ts';
import { readJsonBody } from './body.ts';
import { requirePrincipal } from './principal.ts';
import { answerObjects, baseOf, type Service } from './service.ts';

/** `POST /builds/{type}`: one request in a batch of its own (rest-api.md §2.1). */
export function postRequest(service: Service, type: RequestType) {
  return async (c: Context): Promise<Response> => {
    const user = requirePrincipal(c, service.principalOf, service.config.api);
    const { value } = await readJsonBody(c, service.config.api.bodyLimit);
    if (!isObject(value)) refuse('The input data must be a JSON object');
    const checked = type.check(value, callerOf(service, user));
    const [answer] = await submit(service, user, null, [{ type, checked }], baseOf(c, service));
    return json(answer, 201);
  };
}

/** `POST /builds/{batch route}`: several requests, all or nothing (rest-api.md §2.6). */
export function postBatch(service: Service, checkMember: (typeof BATCHES)[string]) {
  return async (c: Context): Promise<Response> => {
    const user = requirePrincipal(c, service.principalOf, service.config.api);
    const { text, value } = await readJsonBody(c, service.config.api.bodyLimit);
    const submitted = checkBatch(value, checkMember, callerOf(service, user));
    return json(await submit(service, user, annotationsIn(text), submitted, baseOf(c, service)), 201);
  };
}

/** The annotations of a checked batch as JSON text, their numbers as the client wrote them; null without any. */
function annotationsIn(text: string): string | null {
  const body = parseNumbersAsWritten(text) as JsonObject;
  return Object.hasOwn(body, 'annotations') ? JSON.stringify(body.annotations) : null;
}

function callerOf({ config }: Service, user: string | null): Caller {
  return {
    user,
    binaryImageRequired: Object.keys(config.binaryImages).length === 0,
    graphModeOptions: config.api.graphModeOptions,
    graphModeIndexAllowList: config.api.graphModeIndexAllowList,
  };
}

/** Stores a batch with its requests, first states, secrets and jobs in one transaction (rest-api.md D22). */
function submit(
  service: Service,
  user: string | null,
  annotations: string | null,
  submitted: readonly Submitted[],
  base: string,
): Promise<JsonObject[]> {
  return service.database.transaction(async (tx) => {
    const batchId = await insertBatch(tx, annotations);
    const ids = await insertAll(tx, service, user, batchId, submitted);
    await learnPullSpecs(
      tx,
      submitted.flatMap(({ checked }) => checked.pullSpecs),
    );
    return answerObjects(tx, await findRequests(tx, ids), service, { base, form: 'verbose' });
  });
}

async function insertAll(
  tx: Database,
  { sealingKey }: Service,
  user: string | null,
  batchId: number,
  submitted: readonly Submitted[],
): Promise<number[]> {
  const ids: number[] = [];
  for (const { type, checked } of submitted) {
    const { payload, fromIndex, secrets } = checked;
    const id = await insertRequest(tx, { batchId, type: type.name, user, payload, fromIndex });
    await sealSecrets(tx, sealingKey, id, secrets);
    ids.push(id);
  }
  return ids;
}

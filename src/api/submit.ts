import type { Context } from 'hono';
import { z } from 'zod';
import { catalogOf } from '../config/catalogs.ts';
import { allowedRepositories } from '../config/registries.ts';
import type { Config } from '../config/schema.ts';
import { claimOnce, keepAnswer, type Once, onceOf } from '../db/idempotency.ts';
import type { StoredRequest } from '../db/requests.ts';
import { INITIATED, type Submission, sealSubmission, storeSubmissions } from '../db/submission.ts';
import { assertAllowed } from '../registry/hops.ts';
import { outputNamed, outputsTagged } from '../registry/output.ts';
import { isPullSpec, nameOf } from '../registry/pull-spec.ts';
import { type BatchRoute, checkBatch, type Submitted } from '../requests/batches.ts';
import { isObject, type JsonObject, refuse } from '../requests/checks.ts';
import { parseNumbersAsWritten, writeJson } from '../requests/json.ts';
import { refuseLongAnnotations } from '../requests/limits.ts';
import type { Caller, RequestType } from '../requests/type.ts';
import { jsonText } from './answers.ts';
import { type Body, readJsonBody } from './body.ts';
import { checkRole, requireRole } from './principal.ts';
import type { Identity } from './roles.ts';
import { answerObjects, baseOf, type Service } from './service.ts';
import { turnAfter, writeList } from './turns.ts';

/** What a POST asks for, after its checks. */
interface Order {
  /** JSON text; null when there are none. */
  annotations: string | null;
  submitted: readonly Submitted[];
  /** Whether the answer is a list. */
  form: 'one' | 'list';
}

/** `POST /builds/{type}`: one request in a batch of its own (rest-api.md §2.1). */
export function postRequest(service: Service, type: RequestType) {
  return posted(service, ({ value }, caller) => {
    if (!isObject(value)) refuse('The input data must be a JSON object');
    return { annotations: null, submitted: [{ type, checked: type.check(value, caller) }], form: 'one' };
  });
}

/** `POST /builds/{batch route}`: several requests, all or nothing (rest-api.md §2.6). */
export function postBatch(service: Service, { check }: BatchRoute) {
  return posted(service, ({ text, value }, caller) => {
    const submitted = checkBatch(value, check, caller);
    return { annotations: annotationsIn(text, submitted.length), submitted, form: 'list' };
  });
}

function posted(service: Service, read: (body: Body, caller: Caller) => Order) {
  return async (c: Context): Promise<Response> => {
    const { api } = service.config;
    const identity = await requireRole(c, 'submit', service);
    const body = await readJsonBody(c, api.bodyLimit);
    const once = readOnce(c, service, identity, body);
    await turnAfter(body.text.length);
    const order = read(body, callerOf(service, identity.user));
    if (order.submitted.some(overwrites)) checkRole(identity, 'overwrite', api);
    assertRegistriesAllowed(order, service);
    const base = baseOf(c, service);
    const submission = submissionOf(order, identity.user, base);
    const textOf = async (stored: readonly StoredRequest[]) => {
      const answers = answerObjects(stored, service, { base, form: 'verbose' });
      return order.form === 'one' ? writeJson(answers.next().value) : writeList(answers);
    };
    await turnAfter(body.text.length);
    // What cannot be shown must fail before it is stored: after the commit the client has to get its ids.
    await textOf(draftsOf(submission));
    await turnAfter(body.text.length);
    if (once === null) return jsonText(await textOf(await service.submit(submission)), 201);
    return service.database.transaction(async (tx) => {
      const first = await claimOnce(tx, once, api.idempotencyHours);
      if (first !== null) return jsonText(first, 201, { 'idempotent-replayed': 'true' });
      const [stored = []] = await storeSubmissions(tx, [await sealSubmission(tx, service.sealingKey, submission)]);
      const text = await textOf(stored);
      await keepAnswer(tx, once, text);
      return jsonText(text, 201);
    });
  };
}

/** The key under which the answer is kept; null when the client sent none. Fails 400. */
function readOnce(c: Context, { sealingKey }: Service, { user }: Identity, { text }: Body): Once | null {
  const key = c.req.header('idempotency-key');
  if (key === undefined) return null;
  if (key.length < 1 || key.length > 255) refuse('The "Idempotency-Key" header must have 1 to 255 characters');
  return onceOf(sealingKey, user, key, `${c.req.path}\n${text}`);
}

const Overwrite = z.looseObject({
  overwrite_from_index: z.boolean().default(false),
  overwrite_target_index: z.boolean().default(false),
});

function overwrites({ checked }: Submitted): boolean {
  const { overwrite_from_index: from, overwrite_target_index: target } = Overwrite.parse(checked.payload);
  return from || target;
}

/** Refuses images of registries that are not allowed. What cannot be read as a pull spec is left to the worker's sentence. */
function assertRegistriesAllowed({ submitted }: Order, { config }: Service): void {
  const allowed = allowedRepositories(config);
  if (allowed === undefined) return;
  for (const spec of new Set(submitted.flatMap(({ checked }) => checked.pullSpecs))) {
    if (isPullSpec(spec)) assertAllowed({ allowed }, nameOf(spec));
  }
}

/** The annotations of a checked batch as JSON text, their numbers as the client wrote them; null without any. */
function annotationsIn(text: string, members: number): string | null {
  // Most batches have none; the reviver costs ten times what parsing does. A key may be written with escapes.
  if (!text.includes('"annotations"') && !text.includes('\\u')) return null;
  const body = parseNumbersAsWritten(text) as JsonObject;
  if (!Object.hasOwn(body, 'annotations')) return null;
  const written = JSON.stringify(body.annotations);
  refuseLongAnnotations(written, members);
  return written;
}

function callerOf({ config }: Service, user: string | null): Caller {
  return {
    user,
    binaryImageRequired: Object.keys(config.binaryImages).length === 0,
    graphModeOptions: config.api.graphModeOptions,
    graphModeIndexAllowList: config.api.graphModeIndexAllowList,
    managed: {
      has: (spec) => manages(config, spec),
      checkBuildTags: (tags) => void outputsTagged(config, tags),
    },
  };
}

/**
 * Whether the index is in the configuration, or the output of a request, which may be. What is no pull spec names none; where the configured catalogs cannot be
 * read, the worker tells, which checks the same.
 */
function manages(config: Config, spec: string): boolean {
  try {
    const { output, publicOutput = output } = config.registry;
    const made = outputNamed(config.registry, 1);
    if ([made, made.replace(output, publicOutput)].map(nameOf).includes(nameOf(spec))) return true;
    catalogOf(config, nameOf(spec), spec);
    return true;
  } catch {
    return false;
  }
}

/** The requests of a submission as they will be stored, with any ids and times. */
function draftsOf({ user, annotations, requests }: Submission): StoredRequest[] {
  const first = { state: 'in_progress' as const, stateReason: INITIATED, updated: '2026-01-01T00:00:00.000001Z' };
  return requests.map(({ type, payload }) => ({
    ...first,
    id: 1,
    batchId: 1,
    annotations,
    type,
    user,
    payload,
    outcome: {},
    deliveryId: null,
    packages: new Map(),
    history: [first],
  }));
}

/** A batch with its requests, secrets and jobs. */
function submissionOf({ annotations, submitted }: Order, user: string | null, baseUrl: string): Submission {
  return {
    user,
    annotations,
    requests: submitted.map(({ type, checked: { payload, fromIndex, secrets } }) => ({
      type: type.name,
      payload,
      fromIndex,
      secrets,
    })),
    pullSpecs: submitted.flatMap(({ checked }) => checked.pullSpecs),
    baseUrl,
  };
}

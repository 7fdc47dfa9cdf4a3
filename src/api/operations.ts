import { TIMES } from '../db/list.ts';
import { REQUEST_TYPES } from '../requests/all.ts';
import { BATCHES } from '../requests/batches.ts';
import { type JsonSchema, pascal, reference } from './schemas.ts';

interface Content {
  [mediaType: string]: { schema: JsonSchema };
}

interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required: boolean;
  schema: JsonSchema;
  description?: string;
}

export interface Operation {
  summary: string;
  responses: Record<string, { description: string; content?: Content }>;
  parameters?: Parameter[];
  requestBody?: { required: true; content: Content };
  security?: Record<string, string[]>[];
}

/** One method of one path of the description. */
export interface DescribedOperation extends Operation {
  method: 'get' | 'post' | 'patch';
  path: string;
}

const BUILDS = '/api/v1/builds';
const ID: Parameter = { name: 'id', in: 'path', required: true, schema: { type: 'integer', minimum: 1 } };

const IDEMPOTENCY_KEY: Parameter = {
  name: 'Idempotency-Key',
  in: 'header',
  required: false,
  schema: { type: 'string', minLength: 1, maxLength: 255 },
  description: 'Sent again with the same body, the first answer comes back and nothing is stored',
};

/** The query parameters of lists (rest-api.md §4). */
const LIST: readonly Parameter[] = [
  query('page', { type: 'integer', minimum: 1, default: 1 }, 'Which page'),
  query('per_page', { type: 'integer', minimum: 1, default: 20 }, 'Requests on a page; capped by the service'),
  query('verbose', { type: 'boolean', default: false }, 'Whether histories, annotations and log links are shown'),
  query('state', { type: 'string', enum: ['in_progress', 'complete', 'failed'] }, 'The newest state'),
  query('batch', { type: 'integer', minimum: 1 }, 'Requests of this batch'),
  query('request_type', { type: 'string', enum: REQUEST_TYPES.map(({ name }) => name) }, 'The type'),
  query('user', { type: 'string' }, 'The principal who submitted'),
  query('from_index', { type: 'string' }, 'The pull spec a request starts from'),
  query('from_index_startswith', { type: 'string' }, 'How that pull spec begins'),
  query('index_image', { type: 'string' }, 'The pull spec of the result'),
  query('fbc_fragment', { type: 'string' }, 'A fragment that was submitted, in either form'),
  ...TIMES.flatMap((time) => [
    query(`${time}_before`, { type: 'string', format: 'date-time' }, `${time} earlier; a date or a time, ISO 8601`),
    query(`${time}_after`, { type: 'string', format: 'date-time' }, `${time} then or later`),
  ]),
  query(
    'order_by',
    { type: 'string', enum: ['id', ...TIMES].flatMap((name) => [name, `-${name}`]), default: '-id' },
    'The order; a - before it turns it. What is not completed counts as completed last',
  ),
];

const INPUT_ERRORS = {
  400: 'The input is wrong; `error` says how',
  401: 'Who calls is not known',
  403: 'The caller may not do this',
  413: 'The body is too large',
  415: 'The content type is not JSON, or the body is encoded',
  503: 'The identity provider cannot be reached',
};
const ARTIFACT_ERRORS = {
  400: 'Not for this request, or not yet',
  404: 'No such request',
  410: 'It was there and has expired',
};

const ARTIFACTS: readonly { route: string; summary: string; mediaType: string; schema: JsonSchema }[] = [
  {
    route: 'logs',
    summary: 'The log of a finished request',
    mediaType: 'text/plain; charset=utf-8',
    schema: { type: 'string' },
  },
  {
    route: 'related_bundles',
    summary: 'The bundles a regenerated bundle relates to',
    mediaType: 'application/json',
    schema: { description: 'The file as the worker wrote it: an array of pull specs' },
  },
  {
    route: 'nested-bundles',
    summary: 'All bundles below a parent bundle, deepest level first',
    mediaType: 'application/json',
    schema: { description: 'The file as the worker wrote it: an array of pull specs' },
  },
  {
    route: 'deprecation-schema',
    summary: 'The deprecation schema exactly as it was submitted',
    mediaType: 'application/json',
    schema: { description: 'Any JSON' },
  },
];

/** Everything the service answers below `/api/v1`. */
export function operations(): DescribedOperation[] {
  return [
    {
      method: 'get',
      path: BUILDS,
      summary: 'Lists requests, newest first',
      parameters: [...LIST],
      responses: {
        200: json('A page of requests', 'Page'),
        ...errors({ 400: 'A filter is wrong', 404: 'No such page' }),
      },
    },
    {
      method: 'get',
      path: `${BUILDS}/{id}`,
      summary: 'Shows a request',
      parameters: [ID],
      responses: { 200: json('The request', 'Request'), ...errors({ 404: 'No such request' }) },
    },
    {
      method: 'patch',
      path: `${BUILDS}/{id}`,
      summary: 'Reports what became of a request; for workers alone',
      parameters: [ID],
      ...input('Patch'),
      responses: {
        200: json('The changed request', 'Request'),
        ...errors({ ...INPUT_ERRORS, 404: 'No such request' }),
      },
    },
    ...ARTIFACTS.map(artifact),
    {
      method: 'get',
      path: `${BUILDS}/{id}/steps`,
      summary: 'Shows what the delivery of a request has done so far',
      parameters: [ID],
      responses: {
        200: json('The steps in their order', 'Steps'),
        ...errors({ 400: 'There are no query parameters', 404: 'No such request' }),
      },
    },
    {
      method: 'get',
      path: `${BUILDS}/{id}/events`,
      summary: 'Follows a request live: its states, steps and log lines as Server-Sent Events',
      parameters: [
        ID,
        {
          name: 'Last-Event-ID',
          in: 'header',
          required: false,
          schema: { type: 'string' },
          description: 'Resumes after this event',
        },
      ],
      responses: {
        200: {
          description: 'Events state, step and log, each with JSON as data; the stream ends with the request',
          content: { 'text/event-stream': { schema: { type: 'string' } } },
        },
        204: { description: 'The request has ended and everything was sent before' },
        ...errors({ 400: 'There are no query parameters', 404: 'No such request' }),
      },
    },
    ...REQUEST_TYPES.map(({ name, summary }) => post(name, summary, 'The stored request')),
    ...Object.entries(BATCHES).map(([name, { summary }]) => post(name, summary, 'The stored requests, in input order')),
    {
      method: 'get',
      path: '/api/v1/healthcheck',
      summary: 'Tells whether the service can reach its database',
      responses: { 200: json('It can', 'Health'), ...errors({}) },
    },
  ];
}

function artifact({ route, summary, mediaType, schema }: (typeof ARTIFACTS)[number]): DescribedOperation {
  return {
    method: 'get',
    path: `${BUILDS}/{id}/${route}`,
    summary,
    parameters: [ID],
    responses: {
      200: { description: 'The stored bytes', content: { [mediaType]: { schema } } },
      ...errors(ARTIFACT_ERRORS),
    },
  };
}

function post(name: string, summary: string, result: string): DescribedOperation {
  return {
    method: 'post',
    path: `${BUILDS}/${name}`,
    summary,
    ...input(`${pascal(name)}Body`),
    parameters: [IDEMPOTENCY_KEY],
    responses: {
      201: json(result, pascal(name)),
      ...errors({ ...INPUT_ERRORS, 409: 'The key was used for another request' }),
    },
  };
}

/** A JSON body; needed by whatever changes something, as is a principal. */
function input(schema: string): Pick<Operation, 'requestBody' | 'security'> {
  return {
    requestBody: { required: true, content: { 'application/json': { schema: reference(schema) } } },
    security: [{ negotiate: [] }, { bearer: [] }],
  };
}

function json(description: string, schema: string): Operation['responses'][string] {
  return { description, content: { 'application/json': { schema: reference(schema) } } };
}

/** Error answers by status; any route may fail. */
function errors(meanings: Record<number, string>): Operation['responses'] {
  const all = Object.entries({ ...meanings, 500: 'The service failed' });
  return Object.fromEntries(all.map(([status, description]) => [status, json(description, 'Error')]));
}

function query(name: string, schema: JsonSchema, description: string): Parameter {
  return { name, in: 'query', required: false, schema, description };
}

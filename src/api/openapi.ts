import { REQUEST_TYPES } from '../requests/all.ts';
import { BATCHES } from '../requests/batches.ts';

export interface OpenApi {
  openapi: string;
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
}

export interface Operation {
  summary: string;
  responses: Record<string, { description: string }>;
  parameters?: { name: string; in: 'path' | 'query'; required?: boolean; schema: { type: string } }[];
}

const ID = [{ name: 'id', in: 'path' as const, required: true, schema: { type: 'integer' } }];
const FILTERS = [
  ['page', 'integer'],
  ['per_page', 'integer'],
  ['verbose', 'boolean'],
  ['state', 'string'],
  ['batch', 'integer'],
  ['request_type', 'string'],
  ['user', 'string'],
  ['from_index', 'string'],
  ['from_index_startswith', 'string'],
  ['index_image', 'string'],
] as const;

/** The routes of the API as an OpenAPI 3.1 description. */
export function openApi(): OpenApi {
  const builds = '/api/v1/builds';
  const posts = [...REQUEST_TYPES.map((type) => type.name), ...Object.keys(BATCHES)].map((name) => [
    `${builds}/${name}`,
    { post: operation(`Submit a request: ${name}`, { 201: 'The stored request', ...POST_ERRORS }) },
  ]);
  const artifacts = [
    ['logs', 'The log of a finished request'],
    ['related_bundles', 'The bundles a regenerated bundle relates to'],
    ['nested-bundles', 'All bundles below a parent bundle, deepest level first'],
    ['deprecation-schema', 'The deprecation schema as it was submitted'],
  ].map(([name, summary]) => [
    `${builds}/{id}/${name}`,
    { get: { ...operation(summary ?? '', { 200: 'The stored bytes', ...ARTIFACT_ERRORS }), parameters: ID } },
  ]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'IIB API Documentation',
      version: 'v1',
      description: 'Builds and changes operator index images. The answers of every route are JSON objects.',
    },
    paths: {
      [builds]: {
        get: {
          ...operation('List requests, newest first', {
            200: 'A page of requests',
            400: 'A wrong filter',
            404: 'No such page',
          }),
          parameters: FILTERS.map(([name, type]) => ({ name, in: 'query', schema: { type } })),
        },
      },
      [`${builds}/{id}`]: {
        get: { ...operation('A request', { 200: 'The request', 404: 'No such request' }), parameters: ID },
        patch: {
          ...operation('Report progress of a request; for workers alone', {
            200: 'The changed request',
            ...POST_ERRORS,
          }),
          parameters: ID,
        },
      },
      ...Object.fromEntries(artifacts),
      ...Object.fromEntries(posts),
      '/api/v1/healthcheck': {
        get: operation('Whether the service can reach its database', { 200: 'It can', 500: 'It cannot' }),
      },
    },
  };
}

const POST_ERRORS = {
  400: 'The input is wrong; `error` says how',
  401: 'No user',
  403: 'The user may not do this',
  415: 'The content type is not JSON',
};
const ARTIFACT_ERRORS = { 400: 'Not for this request, or not yet', 404: 'No such request', 410: 'Expired' };

function operation(summary: string, answers: Record<number, string>): Operation {
  const responses = Object.entries(answers).map(([status, description]) => [status, { description }]);
  return { summary, responses: Object.fromEntries(responses) };
}

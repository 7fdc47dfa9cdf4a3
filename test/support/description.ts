import { z } from 'zod';
import type { createApp } from '../../src/api/app.ts';
import { openApi } from '../../src/api/openapi.ts';
import type { JsonSchema } from '../../src/api/schemas.ts';

/** What went over the wire, both ways. */
export interface Exchange {
  method: string;
  path: string;
  /** The JSON value that was sent, when it was one. */
  sent?: unknown;
  status: number;
  contentType: string | null;
  text: string;
}

const description = openApi();
const { components } = description;
const compiled = new Map<string, z.ZodType>();
const routes = Object.entries(description.paths).map(([path, methods]) => ({
  pattern: new RegExp(`^${path.replace('{id}', '0*[0-9]+')}$`),
  methods,
}));

/** Where an answer is not what the OpenAPI description says; null when it is. */
export function contradiction(exchange: Exchange): string | null {
  const problem = findProblem(exchange);
  return (
    problem && `${exchange.method} ${exchange.path} → ${exchange.status}: ${problem}\n${exchange.text.slice(0, 500)}`
  );
}

type Fetch = ReturnType<typeof createApp>['fetch'];

/** For a server whose answers are all held against the description; ask for `contradictions` at the end. */
export function watchAnswers() {
  const checks: Promise<string | null>[] = [];
  const around =
    (app: Fetch): Fetch =>
    async (request, ...rest) => {
      const body = request.method === 'POST' ? request.clone() : null;
      const answer = await app(request, ...rest);
      checks.push(check(request, body, answer.clone()));
      return answer;
    };
  return {
    around,
    contradictions: async () => (await Promise.all(checks)).filter((problem) => problem !== null),
  };
}

async function check({ method, url }: Request, body: Request | null, answer: Response): Promise<string | null> {
  const { pathname, search } = new URL(url);
  const text = await answer.text();
  const contentType = answer.headers.get('content-type');
  const sent: unknown = answer.status === 201 ? await body?.json() : undefined;
  return contradiction({ method, path: pathname + search, sent, status: answer.status, contentType, text });
}

function findProblem({ method, path, sent, status, contentType, text }: Exchange): string | null {
  const [route = ''] = path.split('?');
  const methods = routes.find(({ pattern }) => pattern.test(route))?.methods;
  const asked = method === 'HEAD' ? 'get' : method.toLowerCase();
  if (!route.startsWith('/api/')) return null;
  if (method === 'OPTIONS' && methods !== undefined)
    return status === 200 && text === '' ? null : 'OPTIONS is answered 200';
  if (methods?.[asked] === undefined) {
    const expected = methods === undefined ? [404, 405] : [405];
    if (!expected.includes(status)) return `not described, so ${expected.join(' or ')}`;
    return method === 'HEAD' ? null : mismatch({ $ref: '#/components/schemas/Error' }, JSON.parse(text));
  }
  const { responses, requestBody } = methods[asked];
  const response = responses[status];
  if (response === undefined) return `the status is not among ${Object.keys(responses).join(', ')}`;
  if (response.content === undefined) return text === '' ? null : 'described as empty';
  const content = response.content[contentType ?? ''];
  if (content === undefined) return `the content type ${contentType} is not described`;
  if (status === 201) {
    const accepted = requestBody?.content['application/json']?.schema ?? {};
    const wrong = mismatch(accepted, withoutEmpty(sent));
    if (wrong !== null) return `accepted, but not a described body: ${wrong}`;
  }
  // Artifacts are passed on byte by byte, whatever they are: their schemas name nothing.
  if (method === 'HEAD' || content.schema.$ref === undefined) return null;
  return mismatch(content.schema, JSON.parse(text));
}

function mismatch(schema: JsonSchema, value: unknown): string | null {
  const key = JSON.stringify(schema);
  let type = compiled.get(key);
  if (type === undefined) {
    const document = JSON.stringify({ ...schema, $defs: components.schemas });
    type = z.fromJSONSchema(JSON.parse(document.replaceAll('#/components/schemas/', '#/$defs/')));
    compiled.set(key, type);
  }
  const parsed = type.safeParse(value);
  return parsed.success ? null : z.prettifyError(parsed.error);
}

/** Empty values count as absent (rest-api.md §2.2, V4); so do they in the members of a batch. */
function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, member]) => !isEmpty(member));
  return Object.fromEntries(
    kept.map(([name, member]) => [name, name === 'build_requests' ? withoutEmpty(member) : member]),
  );
}

const isEmpty = (value: unknown) => !value || (typeof value === 'object' && Object.keys(value).length === 0);

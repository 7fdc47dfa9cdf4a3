import { z } from 'zod';
import type { Exchange } from '../../support/gitlab-relay.ts';

/** One answer of a GitLab. Names, hosts, tokens and addresses of people are taken out; ids and commits stay. */
const Answer = z.object({
  /** Method and path, with `:id`, `:sha`, `:branch`, `:n` for what differs from run to run. */
  call: z.string(),
  status: z.number(),
  /** Of the headers, those that say when to come again. */
  headers: z.record(z.string(), z.string()),
  body: z.unknown(),
  /** The same call was made again and taken then. */
  waited: z.boolean(),
});
export type Answer = z.infer<typeof Answer>;

const Hook = z.object({ event: z.string(), body: z.unknown() });

export const Recording = z.object({
  gitlab: z.object({ version: z.string(), enterprise: z.boolean() }),
  scenarios: z.array(
    z.object({
      name: z.string(),
      /** `passed`, or why it was skipped or has failed. */
      outcome: z.string(),
      answers: z.array(Answer),
      hooks: z.array(Hook),
    }),
  ),
});
export type Recording = z.infer<typeof Recording>;

/** What is to be replaced wherever it stands: text → what stands for it. */
export type Replacements = ReadonlyMap<string, string>;

const KEPT_HEADERS = ['retry-after', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'];

/** Fields that hold secrets, or say something of people and of the installation that nobody needs. */
const DROPPED =
  /token|secret|password|email|avatar|ip$|_ip_|last_activity|sign_in|import_url|custom_attributes|identities|license|bio|location|linkedin|skype|twitter|website/;

/** What may go into a repository of what a GitLab has answered. */
export function recorded(exchanges: readonly Exchange[], secrets: Replacements): Answer[] {
  return exchanges.map((exchange, at) => ({
    call: callOf(exchange),
    status: exchange.status,
    headers: Object.fromEntries(Object.entries(exchange.headers).filter(([name]) => KEPT_HEADERS.includes(name))),
    body: cleaned(exchange.body, secrets),
    waited:
      exchange.status >= 400 && exchanges.slice(at + 1).some((later) => later.status < 300 && same(exchange, later)),
  }));
}

const same = (one: Exchange, other: Exchange) =>
  one.method === other.method && one.path === other.path && JSON.stringify(one.sent) === JSON.stringify(other.sent);

/** The body without what must not be seen. */
export function cleaned(value: unknown, secrets: Replacements): unknown {
  if (typeof value === 'string') {
    let text = value;
    for (const [secret, instead] of secrets) text = text.replaceAll(secret, instead);
    return text
      .replace(/[\w.+-]+@[\w-]+(\.[\w-]+)+/g, 'someone@example.com')
      .replace(/gl[a-z]{2,5}-[\w-]{16,}/g, '*****');
  }
  if (Array.isArray(value)) return value.map((each) => cleaned(each, secrets));
  if (typeof value !== 'object' || value === null) return value;
  const isPerson = 'username' in value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([field]) => !DROPPED.test(field))
      .map(([field, each]) => {
        const personal = isPerson && ['username', 'name', 'web_url'].includes(field);
        return [field, personal ? 'someone' : cleaned(each, secrets)];
      }),
  );
}

/** `GET /projects/:id/merge_requests/:n?state`: what the call is, whatever the project, the branch or the number. */
export function callOf({ method, path }: Pick<Exchange, 'method' | 'path'>): string {
  const [route = '', query = ''] = path.split('?');
  const general = route
    .replace(/^\/projects\/[^/]+/, '/projects/:id')
    .replace(/^\/(groups|namespaces)\/[^/]+/, '/$1/:id')
    .replace(/\/(branches|protected_branches)\/[^/]+/, '/$1/:branch')
    .replace(/\/[0-9a-f]{40}(?=\/|$)/, '/:sha')
    .replace(/\/\d+(?=\/|$)/g, '/:n');
  const keys = [...new Set(new URLSearchParams(query).keys())].sort().join('&');
  return `${method} ${general}${keys === '' ? '' : `?${keys}`}`;
}

/** Field, dotted → the types its values have; of a list all elements together. */
export function typesOf(body: unknown, at = '', found = new Map<string, Set<string>>()): Map<string, Set<string>> {
  if (Array.isArray(body)) {
    for (const each of body) typesOf(each, `${at}[]`, found);
    return found;
  }
  if (typeof body !== 'object' || body === null) return found;
  for (const [field, value] of Object.entries(body)) {
    const path = at === '' ? field : `${at}.${field}`;
    const type = value === null ? 'null' : Array.isArray(value) ? 'list' : typeof value;
    found.set(path, (found.get(path) ?? new Set()).add(type));
    typesOf(value, path, found);
  }
  return found;
}

import type { IncomingMessage } from 'node:http';
import type { z } from 'zod';
import { type Identity, levelOf, mayRead } from './access.ts';
import { type Params, parse } from './params.ts';
import type { Project, User } from './records.ts';
import { forbidden, notFound, type Reply, unauthorized } from './reply.ts';
import type { World } from './world.ts';

/** One REST call under way. */
export interface Call {
  method: string;
  /** Decoded segments of the path that the route names, e.g. `id`, `iid`. */
  path: Record<string, string>;
  params: Params;
  query: URLSearchParams;
  /** Undefined for anonymous calls. */
  identity: Identity | undefined;
  request: IncomingMessage;
  world: World;
}

export type Handler = (call: Call) => Reply | Promise<Reply>;

export interface Route {
  method: string;
  pattern: string[];
  handler: Handler;
}

/** A route below `/api/v4`; segments beginning with a colon match any one segment and are handed over decoded. */
export function route(method: string, pattern: string, handler: Handler): Route {
  return { method, pattern: pattern.split('/').slice(1), handler };
}

/** The handler for a raw path (still encoded) and the path's values. Clients over-encode: `%2E`, `%2F`, `%5F` … */
export function findRoute(
  routes: Route[],
  method: string,
  rawSegments: string[],
): { handler: Handler; path: Record<string, string> } | 'other-method' | undefined {
  let otherMethod = false;
  const segments = rawSegments.map(decode);
  for (const { method: wanted, pattern, handler } of routes) {
    if (pattern.length !== segments.length) continue;
    const path: Record<string, string> = {};
    const fits = pattern.every((part, at) => {
      const segment = segments[at] ?? '';
      if (!part.startsWith(':')) return part === segment;
      path[part.slice(1)] = segment;
      return segment !== '';
    });
    if (!fits) continue;
    if (wanted === method || (wanted === 'GET' && method === 'HEAD')) return { handler, path };
    otherMethod = true;
  }
  return otherMethod ? 'other-method' : undefined;
}

/** A percent-decoded segment; what is no valid encoding stays as it is. */
export function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** The checked parameters. @throws Refused 400 */
export const take = <S extends z.ZodType>(call: Call, schema: S): z.infer<S> => parse(schema, call.params);

/** The caller. @throws Refused 401 for anonymous calls */
export function caller(call: Call): User {
  if (call.identity === undefined) throw unauthorized();
  return call.identity.user;
}

/** A value of the path as a whole number. @throws Refused 404 */
export function pathNumber(call: Call, name: string, what?: string): number {
  const value = call.path[name] ?? '';
  if (!/^\d+$/.test(value)) throw notFound(what);
  return Number(value);
}

/** The project of the path, by id or full path. @throws Refused 404 when it is not there or may not be seen */
export function projectOf(call: Call): Project {
  const project = findProject(call.world, call.path.id ?? '');
  if (project === undefined || !mayRead(call.world, call.identity?.user, project)) throw notFound('Project');
  return project;
}

/** The project, when the caller has at least the level there. @throws Refused 401, 403, 404 */
export function projectFor(call: Call, level: number): Project {
  const project = projectOf(call);
  if (levelOf(call.world, caller(call), project) < level) throw forbidden();
  return project;
}

/** A project by id or full path (paths ignore case, as GitLab's do). */
export function findProject(world: World, idOrPath: string): Project | undefined {
  if (/^\d+$/.test(idOrPath)) return world.store.projects.get(Number(idOrPath));
  const wanted = idOrPath.toLowerCase();
  return world.store.projects.find((project) => project.path_with_namespace.toLowerCase() === wanted);
}

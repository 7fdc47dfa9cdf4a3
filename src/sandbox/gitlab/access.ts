import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Group, Member, Project, ProtectedBranch, User } from './records.ts';
import { Refused, unauthorized } from './reply.ts';
import type { World } from './world.ts';

export const GUEST = 10;
export const REPORTER = 20;
export const DEVELOPER = 30;
export const MAINTAINER = 40;
export const OWNER = 50;

export interface Identity {
  user: User;
  scopes: string[];
  /** The token's record. */
  tokenId: number;
}

export const hashToken = (token: string): string => createHash('sha256').update(token).digest('hex');

/** Whose token it is; a sentence when it is known but no good any more; undefined when nobody's. */
export function identify(world: World, token: string): Identity | string | undefined {
  const hash = hashToken(token);
  const known = world.store.tokens.find((candidate) => candidate.hash === hash);
  const user = known && world.store.users.get(known.user_id);
  if (known === undefined || user === undefined) return undefined;
  if (known.revoked) return 'Token was revoked. You have to re-authorize from the user.';
  if (known.expires_at !== null && Date.parse(known.expires_at) <= Date.now()) {
    return 'Token is expired. You can either do re-authorization or token refresh.';
  }
  return { user, scopes: known.scopes, tokenId: known.id };
}

/**
 * The caller of a REST call: `PRIVATE-TOKEN`, `Authorization: Bearer`, or the query's `private_token`.
 *
 * @throws Refused 401 for tokens that are wrong or no good any more, 403 `insufficient_scope`
 */
export function authenticate(world: World, request: IncomingMessage, query: URLSearchParams): Identity | undefined {
  const header = request.headers['private-token'];
  const bearer = request.headers.authorization?.match(/^Bearer\s+(.+)$/i)?.[1];
  const token =
    (Array.isArray(header) ? header[0] : header) ??
    bearer ??
    query.get('private_token') ??
    query.get('access_token') ??
    undefined;
  if (token === undefined || token === '') return undefined;
  const identity = identify(world, token);
  if (identity === undefined) throw unauthorized();
  if (typeof identity === 'string') {
    throw new Refused({ status: 401, body: { error: 'invalid_token', error_description: identity } });
  }
  const reading = request.method === 'GET' || request.method === 'HEAD';
  const enough = ['api', ...(reading ? ['read_api'] : [])];
  if (reading && /\/repository\//.test(request.url ?? '')) enough.push('read_repository');
  if (/\/(personal_access_tokens\/self|user)(\?|$)/.test(request.url ?? '')) enough.push(...identity.scopes);
  if (!identity.scopes.some((scope) => enough.includes(scope))) {
    throw new Refused({
      status: 403,
      body: {
        error: 'insufficient_scope',
        error_description: 'The request requires higher privileges than provided by the access token.',
        scope: enough.join(' '),
      },
    });
  }
  return identity;
}

/** The group and all groups above it, nearest first. */
export function ancestry(world: World, groupId: number | null): Group[] {
  const group = groupId === null ? undefined : world.store.groups.get(groupId);
  return group === undefined ? [] : [group, ...ancestry(world, group.parent_id)];
}

/** Memberships that count for a project: its own and those of the groups above it. */
export function membersOf(world: World, project: Project): Member[] {
  const groups = new Set(ancestry(world, project.namespace_id).map((group) => group.id));
  return world.store.members.filter(
    (member) =>
      (member.source === 'project' && member.source_id === project.id) ||
      (member.source === 'group' && groups.has(member.source_id)),
  );
}

/** The user's access level in the project, 0 for none; administrators may do everything. */
export function levelOf(world: World, user: User | undefined, project: Project): number {
  if (user === undefined) return 0;
  if (user.is_admin) return OWNER;
  const mine = membersOf(world, project).filter((member) => member.user_id === user.id);
  return Math.max(0, ...mine.map((member) => member.access_level));
}

export function mayRead(world: World, user: User | undefined, project: Project): boolean {
  if (project.visibility === 'public') return true;
  if (project.visibility === 'internal' && user !== undefined) return true;
  return levelOf(world, user, project) >= GUEST;
}

/** The protections that hold for a branch; `*` in their names matches anything. */
export function protectionsOf(world: World, project: Project, branch: string): ProtectedBranch[] {
  return world.store.protectedBranches.filter(
    (rule) => rule.project_id === project.id && wildcard(rule.name).test(branch),
  );
}

export function wildcard(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('.*')}$`);
}

/** Of several protections the most permissive counts; level 0 means nobody. */
function allows(levels: number[], mine: number): boolean {
  return levels.some((level) => level > 0 && mine >= level);
}

export function mayPush(world: World, user: User, project: Project, branch: string): boolean {
  const mine = levelOf(world, user, project);
  if (mine < DEVELOPER) return false;
  const rules = protectionsOf(world, project, branch);
  return (
    rules.length === 0 ||
    allows(
      rules.map((rule) => rule.push_level),
      mine,
    )
  );
}

/** Whether the user may merge into the branch: by the merge right or the push right. */
export function mayMergeInto(world: World, user: User, project: Project, branch: string): boolean {
  const mine = levelOf(world, user, project);
  if (mine < DEVELOPER) return false;
  const rules = protectionsOf(world, project, branch);
  if (rules.length === 0) return true;
  return allows([...rules.map((rule) => rule.merge_level), ...rules.map((rule) => rule.push_level)], mine);
}

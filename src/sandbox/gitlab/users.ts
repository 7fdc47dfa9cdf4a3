import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { registerSecret } from '../../telemetry/secrets.ts';
import { hashToken, MAINTAINER } from './access.ts';
import { type Call, caller, pathNumber, projectFor, type Route, route, take } from './call.ts';
import { page } from './paging.ts';
import { flag, integer, list, text } from './params.ts';
import { ownNamespace } from './projects.ts';
import type { Token, User } from './records.ts';
import { created, forbidden, noContent, notFound, ok, refuse, unauthorized } from './reply.ts';
import { ownUserView, tokenView, userView } from './views.ts';
import { now, type World } from './world.ts';

export interface NewUser {
  username: string;
  name?: string | undefined;
  email?: string | undefined;
  admin?: boolean | undefined;
  bot?: boolean | undefined;
}

/** Makes a user with a namespace. @throws Refused 409 when the name is taken */
export function createUser(world: World, wanted: NewUser): User {
  if (world.store.users.find((user) => user.username === wanted.username) !== undefined) {
    throw refuse(409, 'Username has already been taken');
  }
  const user = world.store.users.add({
    username: wanted.username,
    name: wanted.name ?? wanted.username,
    email: wanted.email ?? `${wanted.username}@users.noreply.localhost`,
    is_admin: wanted.admin ?? false,
    bot: wanted.bot ?? false,
    created_at: now(),
  });
  if (!user.bot) ownNamespace(world, user);
  return user;
}

export interface NewToken {
  name?: string | undefined;
  scopes?: string[] | undefined;
  /** ISO date or moment; never when left out. */
  expires_at?: string | null | undefined;
  /** A value of the caller's own; a random one when left out. */
  value?: string | undefined;
}

/** Makes a token and gives its value, which is kept as a hash only. */
export function createToken(world: World, user: User, wanted: NewToken = {}): { token: Token; value: string } {
  const value = wanted.value ?? `glpat-${randomBytes(15).toString('base64url')}`;
  registerSecret(value);
  const token = world.store.tokens.add({
    hash: hashToken(value),
    user_id: user.id,
    name: wanted.name ?? 'token',
    scopes: wanted.scopes ?? ['api', 'read_repository', 'write_repository'],
    expires_at: wanted.expires_at ?? null,
    revoked: false,
    created_at: now(),
  });
  return { token, value };
}

const TokenParams = z.object({ name: text, scopes: list, expires_at: text.optional() });

function administrator(call: Call): User {
  const user = caller(call);
  if (!user.is_admin) throw forbidden();
  return user;
}

function issue(call: Call, user: User) {
  const { token, value } = createToken(call.world, user, take(call, TokenParams));
  return created({ ...tokenView(token), token: value });
}

function userOf(call: Call): User {
  const user = call.world.store.users.get(pathNumber(call, 'user_id', 'User'));
  if (user === undefined) throw notFound('User');
  return user;
}

function ownToken(call: Call): Token {
  const token = call.identity && call.world.store.tokens.get(call.identity.tokenId);
  if (token === undefined) throw unauthorized();
  return token;
}

/** Users and their tokens; project tokens belong to bots `project_{id}_bot_…` (konflux-and-gitlab.md §4.4). */
export const userRoutes: Route[] = [
  route('GET', '/user', (call) => ok(ownUserView(call.world, caller(call)))),

  route('GET', '/users', (call) => {
    const { username, search } = take(call, z.object({ username: text.optional(), search: text.optional() }));
    caller(call);
    const found = call.world.store.users.filter(
      (user) =>
        (username === undefined || user.username.toLowerCase() === username.toLowerCase()) &&
        (search === undefined || `${user.username} ${user.name}`.includes(search)),
    );
    return page(
      call,
      found,
      (user) => userView(call.world, user),
      (user) => String(user.id),
    );
  }),

  route('GET', '/users/:user_id', (call) => {
    caller(call);
    return ok(userView(call.world, userOf(call)));
  }),

  route('POST', '/users', (call) => {
    administrator(call);
    const wanted = take(
      call,
      z.object({ username: text, name: text.optional(), email: text.optional(), admin: flag.optional() }),
    );
    return created(ownUserView(call.world, createUser(call.world, wanted)));
  }),

  route('POST', '/users/:user_id/personal_access_tokens', (call) => {
    administrator(call);
    return issue(call, userOf(call));
  }),

  route('POST', '/users/:user_id/impersonation_tokens', (call) => {
    administrator(call);
    return issue(call, userOf(call));
  }),

  route('GET', '/personal_access_tokens', (call) => {
    const user = caller(call);
    const mine = call.world.store.tokens.filter((token) => token.user_id === user.id);
    return page(call, mine, tokenView);
  }),

  route('GET', '/personal_access_tokens/self', (call) => ok(tokenView(ownToken(call)))),

  route('DELETE', '/personal_access_tokens/self', (call) => {
    call.world.store.tokens.change(ownToken(call), { revoked: true });
    return noContent();
  }),

  route('DELETE', '/personal_access_tokens/:token_id', (call) => {
    const user = caller(call);
    const token = call.world.store.tokens.get(pathNumber(call, 'token_id', 'Token'));
    if (token === undefined || (token.user_id !== user.id && !user.is_admin)) throw notFound();
    call.world.store.tokens.change(token, { revoked: true });
    return noContent();
  }),

  route('POST', '/projects/:id/access_tokens', (call) => {
    const project = projectFor(call, MAINTAINER);
    const { access_level } = take(call, z.object({ access_level: integer.default(40) }));
    const username = `project_${project.id}_bot_${randomBytes(16).toString('hex')}`;
    const { name } = take(call, TokenParams);
    const bot = createUser(call.world, { username, name, bot: true });
    call.world.store.members.add({
      source: 'project',
      source_id: project.id,
      user_id: bot.id,
      access_level,
      expires_at: null,
      created_at: now(),
    });
    const reply = issue(call, bot);
    return { ...reply, body: { ...(reply.body as object), access_level } };
  }),
];

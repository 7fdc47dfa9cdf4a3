import { execFile } from 'node:child_process';
import { createSign, randomUUID, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type { TokenAuthority } from '../../src/sandbox/registry.ts';

const exec = promisify(execFile);

export interface RunningAuthority {
  /** For startRegistry. */
  trust: TokenAuthority;
  /** Scopes of the tokens given so far, one line each: `user scope…`. */
  given: string[];
  /** Tokens given from now on live so many seconds. */
  life: number;
  close(): Promise<void>;
}

/**
 * A token service as Docker specifies it: who is who by `user:password` or refresh token; anonymous may pull `public/…`,
 * everybody else may do anything but in `private/{somebody else}`.
 */
export async function startTokenAuthority(dir: string, users: Record<string, string>): Promise<RunningAuthority> {
  const [key, certificates] = [join(dir, 'key.pem'), join(dir, 'certificate.pem')];
  const subject = ['-subj', '/CN=authority', '-days', '2', '-nodes'];
  await exec('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-keyout', key, '-out', certificates, ...subject]);
  const signingKey = await readFile(key);
  const x5c = [new X509Certificate(await readFile(certificates)).raw.toString('base64')];
  const identity = { service: 'registry', issuer: 'authority' };
  const authority = { given: [] as string[], life: 300 };

  const server = createServer(async (request, response) => {
    const { user, scopes } = await asked(request);
    if (user === null) return void response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED"}]}');
    authority.given.push([user, ...scopes].join(' '));
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: identity.issuer,
      sub: user,
      aud: identity.service,
      exp: now + 300,
      nbf: now - 5,
      iat: now,
      jti: randomUUID(),
      access: scopes.flatMap((scope) => access(user, scope)),
    };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ token: signed(claims), expires_in: authority.life }));
  });

  async function asked(request: IncomingMessage): Promise<{ user: string | null; scopes: string[] }> {
    const url = new URL(request.url ?? '/', 'http://authority');
    if (request.method === 'POST') {
      const form = new URLSearchParams((await buffer(request)).toString());
      const user = form.get('refresh_token')?.replace('refresh-of-', '') ?? null;
      return { user: user !== null && user in users ? user : null, scopes: (form.get('scope') ?? '').split(' ') };
    }
    const scopes = url.searchParams.getAll('scope');
    const given = request.headers.authorization;
    if (given === undefined) return { user: '', scopes };
    const [user = '', password] = Buffer.from(given.slice('Basic '.length), 'base64').toString().split(':');
    return { user: users[user] === password ? user : null, scopes };
  }

  function access(user: string, scope: string): object[] {
    const [type, name = '', actions = ''] = scope.split(':');
    const allowed =
      user === '' ? name.startsWith('public/') : !name.startsWith('private/') || name === `private/${user}`;
    const wanted = actions.split(',').filter((action) => user !== '' || action === 'pull');
    return allowed ? [{ type, name, actions: wanted }] : [];
  }

  function signed(claims: object): string {
    const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url');
    const text = `${part({ typ: 'JWT', alg: 'RS256', x5c })}.${part(claims)}`;
    return `${text}.${createSign('RSA-SHA256').update(text).sign(signingKey).toString('base64url')}`;
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return Object.assign(authority, {
    trust: { ...identity, realm: `http://127.0.0.1:${port}/token`, certificates },
    close: () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections()),
  });
}

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose';

export interface IdentityProvider {
  issuer: string;
  /** How often its keys were asked for. */
  asked(): number;
  /** A token signed with the newest key. */
  token(claims: JWTPayload, changes?: { issuer?: string; audience?: string; expires?: string }): Promise<string>;
  /** Signs with a new key from here on; old tokens stay good. */
  rotate(): Promise<void>;
  close(): Promise<void>;
}

/** An OpenID Connect provider with keys of its own, on loopback. */
export async function identityProvider(audience: string): Promise<IdentityProvider> {
  const keys: { kid: string; key: Awaited<ReturnType<typeof generateKeyPair>>['privateKey']; jwk: object }[] = [];
  let asked = 0;
  let issuer = '';
  const rotate = async () => {
    const { publicKey, privateKey } = await generateKeyPair('ES256');
    const kid = `key-${keys.length + 1}`;
    keys.push({ kid, key: privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'ES256', use: 'sig' } });
  };
  await rotate();
  const server = createServer((request, response) => {
    const documents: Record<string, () => object> = {
      '/realm/.well-known/openid-configuration': () => ({ issuer, jwks_uri: `${issuer}/keys` }),
      '/realm/keys': () => {
        asked += 1;
        return { keys: keys.map(({ jwk }) => jwk) };
      },
    };
    const document = documents[request.url ?? ''];
    response.writeHead(document ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document?.() ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/realm`;
  return {
    issuer,
    asked: () => asked,
    rotate,
    async token(claims, changes = {}) {
      const { key, kid } = keys.at(-1)!;
      return new SignJWT(claims)
        .setProtectedHeader({ alg: 'ES256', kid })
        .setIssuedAt()
        .setIssuer(changes.issuer ?? issuer)
        .setAudience(changes.audience ?? audience)
        .setExpirationTime(changes.expires ?? '5m')
        .sign(key);
    },
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

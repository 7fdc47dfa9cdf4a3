import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from 'jose';
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import type { DatabasePool } from '../db/pool.ts';
import { holderOf, TOKEN_PREFIX, type TokenHolder } from '../db/tokens.ts';
import { Failure } from '../errors/failure.ts';

type Oidc = NonNullable<Config['api']['oidc']>;

/** Who shows a bearer token; null when it is not accepted. */
export type BearerHolderOf = (token: string) => Promise<TokenHolder | null>;

/** Milliseconds an answer of the provider may take. */
const CALL = 5000;
const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });
/** One name counts as a list of one. */
const Groups = z.union([z.array(z.string()), z.string().transform((name) => [name])]).catch([]);

/**
 * Reads bearer tokens: static ones of this service, and those of the OIDC provider if one is configured. The provider's
 * keys are kept and asked for again when a token names an unknown one.
 *
 * @throws Failure `identity_provider_unavailable` when its keys are needed and cannot be had
 */
export function bearerReader({ oidc }: Config['api'], database: DatabasePool): BearerHolderOf {
  const verify = oidc === undefined ? async () => null : oidcVerifier(oidc);
  return (token) => (token.startsWith(TOKEN_PREFIX) ? database.read((db) => holderOf(db, token)) : verify(token));
}

function oidcVerifier({ issuer, audience, jwksUrl, userClaim, groupsClaim }: Oidc): BearerHolderOf {
  let keys: ReturnType<typeof createRemoteJWKSet> | undefined;
  const holder = (claims: JWTPayload): TokenHolder | null => {
    const user = claims[userClaim];
    // Text with NUL or a lone surrogate can be stored nowhere, so nobody can be called that.
    if (typeof user !== 'string' || user === '' || user.includes('\0') || !user.isWellFormed()) return null;
    return { user, groups: Groups.parse(claims[groupsClaim] ?? []) };
  };
  return async (token) => {
    try {
      keys ??= createRemoteJWKSet(new URL(jwksUrl ?? (await discover(issuer))), { timeoutDuration: CALL });
      const required = ['exp', userClaim];
      const { payload } = await jwtVerify(token, keys, {
        issuer,
        audience,
        algorithms: ALGORITHMS,
        clockTolerance: 30,
        requiredClaims: required,
      });
      return holder(payload);
    } catch (cause) {
      if (isRefusal(cause)) return null;
      throw new Failure('identity_provider_unavailable', 'The identity provider cannot be asked for its keys', {
        cause,
      });
    }
  };
}

/** Where the issuer says its keys are. */
async function discover(issuer: string): Promise<string> {
  const url = `${issuer.replace(/\/+$/, '')}/.well-known/openid-configuration`;
  const answer = await fetch(url, { signal: AbortSignal.timeout(CALL), redirect: 'error' });
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}`);
  const found = Discovery.parse(await answer.json());
  if (found.issuer !== issuer) throw new Error(`${url} speaks for another issuer`);
  return found.jwks_uri;
}

/** jose's verdict on the token itself, and not on the way to the keys. */
function isRefusal(thrown: unknown): boolean {
  if (!(thrown instanceof errors.JOSEError)) return false;
  return (
    !(thrown instanceof errors.JWKSTimeout || thrown instanceof errors.JWKSInvalid) &&
    thrown.code !== 'ERR_JOSE_GENERIC'
  );
}

import type { ErrorCode } from '../../src/errors/policy.ts';
import { digestOfBytes } from '../../src/registry/digest.ts';
import { MEDIA } from '../../src/registry/manifest.ts';
import {
  CONFIG,
  gzipped,
  MANIFEST,
  manifestWith,
  type Quirks,
  redirect,
  status,
  tokenAnswer,
} from './quirk-registry.ts';

/** One departure of a registry, what becomes of a read with us, and with `skopeo inspect`. */
export interface Quirk {
  name: string;
  quirks: Quirks;
  /** `read`, or the code of the failure. */
  ours: 'read' | ErrorCode;
  /** Whether skopeo reads it, where that is something else than ours. */
  skopeo?: { reads: boolean; because: string };
  /** With no credentials at hand. */
  anonymous?: true;
}

const BEARER = 'Bearer realm="http://{host}/token",service="s",scope="repository:ns/image:pull"';
const challenge = (
  name: string,
  challenges: string[],
  rest: Omit<Quirk, 'name' | 'quirks'> = { ours: 'read' },
): Quirk => ({
  name,
  quirks: { challenge: challenges },
  ...rest,
});

export const CHALLENGES: readonly Quirk[] = [
  { name: 'no challenge at all', quirks: {}, ours: 'read' },
  challenge('Bearer', [BEARER]),
  challenge('Bearer, anonymous', [BEARER], { ours: 'read', anonymous: true }),
  challenge('Basic', ['Basic realm="x"']),
  challenge('Basic, anonymous', ['Basic realm="x"'], { ours: 'registry_denied', anonymous: true }),
  challenge('Bearer then Basic, one header', [`${BEARER}, Basic realm="x"`]),
  challenge('Bearer then Basic, two headers', [BEARER, 'Basic realm="x"']),
  challenge('Basic then Bearer, one header', [`Basic realm="x", ${BEARER}`]),
  challenge('Basic then Bearer, two headers', ['Basic realm="x"', BEARER]),
  challenge('Basic then Bearer, anonymous', ['Basic realm="x"', BEARER], {
    ours: 'read',
    anonymous: true,
    skopeo: { reads: false, because: 'it answers the first challenge it knows, also without credentials' },
  }),
  challenge('unknown then Bearer, two headers', ['Negotiate', BEARER]),
  challenge('unknown then Bearer, one header', [`Negotiate abc==, ${BEARER}`], {
    ours: 'read',
    skopeo: { reads: false, because: 'it reads one challenge of each header' },
  }),
  challenge('Bearer then unknown', [`${BEARER}, Negotiate`]),
  challenge('Bearer in capitals, spaces around signs', ['BEARER  Realm = "http://{host}/token" , Service = "s"'], {
    ours: 'read',
    skopeo: { reads: false, because: 'it knows no spaces around the equals sign' },
  }),
  challenge('values that are not quoted', ['Bearer realm="http://{host}/token",service=s']),
  challenge('a comma and an escaped quote in a value', ['Bearer service="a,\\"b",realm="http://{host}/token"']),
  challenge('realm with a query', ['Bearer realm="http://{host}/token?x=1,2",service="s"']),
  challenge('no service, no scope', ['Bearer realm="http://{host}/token"']),
  challenge('empty service and scope', ['Bearer realm="http://{host}/token",service="",scope=""']),
  challenge('relative realm', ['Bearer realm="/token",service="s"'], { ours: 'registry_answer_invalid' }),
  challenge('realm that is no URL', ['Bearer realm="not a url",service="s"'], { ours: 'registry_answer_invalid' }),
  challenge('empty realm', ['Bearer realm="",service="s"'], { ours: 'registry_answer_invalid' }),
  challenge('no realm', ['Bearer service="s"'], { ours: 'registry_answer_invalid' }),
  challenge('realm of another scheme', ['Bearer realm="ftp://{host}/token"'], { ours: 'registry_answer_invalid' }),
  challenge('relative realm then Basic', ['Bearer realm="/token"', 'Basic realm="x"'], {
    ours: 'read',
    skopeo: { reads: false, because: 'it fails at the first challenge it knows' },
  }),
  challenge('realm at a metadata service', ['Bearer realm="http://169.254.169.254/token"'], {
    ours: 'registry_answer_invalid',
  }),
  challenge('unknown alone', ['Negotiate'], { ours: 'registry_denied' }),
  challenge('401 without any challenge', [], { ours: 'registry_denied' }),
  challenge('nonsense', ['",,=;"'], { ours: 'registry_denied' }),
];

const token = (
  name: string,
  answer: Quirks['token'],
  rest: Omit<Quirk, 'name' | 'quirks'> = { ours: 'read' },
): Quirk => ({
  name,
  quirks: { challenge: [BEARER], ...(answer === undefined ? {} : { token: answer }) },
  ...rest,
});
const INVALID = { ours: 'registry_answer_invalid' } as const;

export const TOKENS: readonly Quirk[] = [
  token('token', tokenAnswer({ token: 'good' })),
  token('access_token', tokenAnswer({ access_token: 'good' })),
  token('both, token counts', tokenAnswer({ token: 'good', access_token: 'bad' })),
  token('null beside access_token', tokenAnswer({ token: null, access_token: 'good' })),
  token('empty beside access_token', tokenAnswer({ token: '', access_token: 'good' })),
  token('names in another case', tokenAnswer({ TOKEN: 'good' })),
  token('expires_in null', tokenAnswer({ token: 'good', expires_in: null })),
  token('expires_in 0', tokenAnswer({ token: 'good', expires_in: 0 })),
  token('expires_in below zero', tokenAnswer({ token: 'good', expires_in: -1 })),
  token('expires_in large', tokenAnswer({ token: 'good', expires_in: 2 ** 31 })),
  token('expires_in in a string', tokenAnswer({ token: 'good', expires_in: '300' }), INVALID),
  token('expires_in with a fraction', tokenAnswer({ token: 'good', expires_in: 300.5 }), INVALID),
  token('issued_at', tokenAnswer({ token: 'good', issued_at: '2026-01-02T03:04:05Z' })),
  token('issued_at null', tokenAnswer({ token: 'good', issued_at: null })),
  token('issued_at nonsense', tokenAnswer({ token: 'good', issued_at: 'yesterday' }), {
    ours: 'read',
    skopeo: { reads: false, because: 'we do not use the field' },
  }),
  token('no token', tokenAnswer({}), INVALID),
  token('both null', tokenAnswer({ token: null, access_token: null }), INVALID),
  token('a number', tokenAnswer({ token: 5 }), INVALID),
  token('a list', tokenAnswer([]), INVALID),
  token('null', tokenAnswer(null), INVALID),
  token('HTML', status(200, { 'content-type': 'text/html' }, '<html>sign in</html>'), INVALID),
  token('nothing', status(200), INVALID),
  token('JSON as text/plain', status(200, { 'content-type': 'text/plain' }, '{"token":"good"}')),
  token('gzipped', status(200, { 'content-encoding': 'gzip' }, gzipped(Buffer.from('{"token":"good"}')))),
  token('201', tokenAnswer({ token: 'good' }, 201), { ours: 'registry_refused' }),
  token('400', tokenAnswer({ token: 'good' }, 400), { ours: 'registry_refused' }),
  token('401', tokenAnswer({}, 401), { ours: 'registry_denied' }),
  token('403', tokenAnswer({}, 403), { ours: 'registry_denied' }),
  token('404', tokenAnswer({}, 404), { ours: 'registry_refused' }),
  token('500', tokenAnswer({}, 500), { ours: 'registry_unavailable' }),
  token('a token that is refused', tokenAnswer({ token: 'bad' }), { ours: 'registry_denied' }),
  token('more than a mebibyte', status(200, {}, `{"token":"good","x":"${'x'.repeat(1024 * 1024)}"}`), INVALID),
  token('a redirect on the host', redirect(302, '/elsewhere/token')),
  token('a redirect loop', redirect(302, 'http://{host}/token'), INVALID),
];

const head = (name: string, answer: NonNullable<Quirks['head']>): Quirk => ({
  name,
  quirks: { head: answer },
  ours: 'read',
});

/** HEAD is a hint, whatever it answers: GET decides. */
export const HEADS: readonly Quirk[] = [
  ...[400, 401, 403, 404, 405, 500, 501].map((code) => head(`HEAD ${code}`, status(code))),
  head('HEAD without digest', status(200)),
  head('HEAD with a digest that is none', status(200, { 'docker-content-digest': 'sha256:nonsense' })),
  head('HEAD with an empty digest', status(200, { 'docker-content-digest': '' })),
  head(
    'HEAD with another length',
    status(200, { 'docker-content-digest': digestOfBytes(MANIFEST), 'content-length': '1' }),
  ),
  head('HEAD that breaks off', (response) => response.destroy()),
  head('HEAD that is no HTTP', (response) => {
    response.socket?.end('nonsense\r\n\r\n');
  }),
  head('HEAD in a loop', redirect(302, '/v2/ns/image/manifests/tag')),
];

const blob = (
  name: string,
  answer: NonNullable<Quirks['blob']>,
  rest: Omit<Quirk, 'name' | 'quirks'> = { ours: 'read' },
): Quirk => ({
  name,
  quirks: { blob: answer },
  ...rest,
});
const elsewhere: NonNullable<Quirks['blob']> = (response, host, request) =>
  redirect(
    307,
    `http://127.0.0.1:${host.split(':')[1]}${request.url?.includes('?') ? '/elsewhere/config' : `${request.url}?again`}`,
  )(response, host, request);

export const REDIRECTS: readonly Quirk[] = [
  ...[301, 302, 303, 307, 308].map((code) => blob(`${code}`, redirect(code, 'http://{host}/elsewhere/config'))),
  blob('relative', redirect(307, '/elsewhere/config')),
  blob('relative to the scheme', redirect(307, '//{host}/elsewhere/config')),
  blob('twice', elsewhere),
  blob(
    'in a loop',
    (response, host, request) => redirect(307, `http://{host}${request.url}`)(response, host, request),
    INVALID,
  ),
  blob('to another scheme', redirect(307, 'ftp://{host}/elsewhere/config'), INVALID),
  blob('to a file', redirect(307, 'file:///etc/passwd'), INVALID),
  blob('to no URL', redirect(307, 'http://['), INVALID),
  blob('without Location', status(307), { ours: 'registry_refused' }),
  blob(
    'to another host over plain HTTP',
    (response, host) =>
      response.writeHead(307, { location: `http://localhost:${host.split(':')[1]}/elsewhere/config` }).end(),
    {
      ours: 'registry_answer_invalid',
      skopeo: { reads: true, because: 'plain HTTP is for hosts that the configuration names' },
    },
  ),
];

const manifest = (
  name: string,
  answer: NonNullable<Quirks['manifest']>,
  rest: Omit<Quirk, 'name' | 'quirks'> = { ours: 'read' },
): Quirk => ({
  name,
  quirks: { manifest: answer, head: status(405) },
  ...rest,
});
const TYPE = { 'content-type': MEDIA.dockerManifest };
const with_ = (change: object) => Buffer.from(JSON.stringify({ ...JSON.parse(MANIFEST.toString('utf8')), ...change }));

export const CONTENTS: readonly Quirk[] = [
  manifest('manifest gzipped', manifestWith({ ...TYPE, 'content-encoding': 'gzip' }, gzipped(MANIFEST))),
  manifest('manifest gzipped, in capitals', manifestWith({ ...TYPE, 'content-encoding': 'GZIP' }, gzipped(MANIFEST))),
  manifest('manifest as it is, said to be encoded', manifestWith({ ...TYPE, 'content-encoding': 'br' })),
  manifest(
    'manifest with parameters of its type',
    manifestWith({ 'content-type': `${MEDIA.dockerManifest}; charset=utf-8` }),
  ),
  manifest('manifest without length', (response) => {
    response.writeHead(200, TYPE);
    response.write(MANIFEST);
    response.end();
  }),
  manifest('layers null', manifestWith(TYPE, with_({ layers: null }))),
  manifest('no manifest', manifestWith(TYPE, Buffer.from('<html></html>')), { ours: 'image_unreadable' }),
  manifest('empty manifest', manifestWith(TYPE, Buffer.alloc(0)), { ours: 'image_unreadable' }),
  manifest('manifest 404', status(404), { ours: 'image_not_found' }),
  manifest('manifest 400', status(400), { ours: 'registry_refused' }),
  manifest('manifest 500', status(500), { ours: 'registry_unavailable' }),
  manifest(
    'manifest of more than 4 MiB',
    manifestWith(TYPE, Buffer.concat([MANIFEST, Buffer.alloc(4 * 1024 * 1024, ' ')])),
    {
      ours: 'image_unreadable',
    },
  ),
  blob('config gzipped', status(200, { 'content-encoding': 'gzip' }, gzipped(CONFIG))),
  blob('config too short', status(200, {}, CONFIG.subarray(1)), { ours: 'image_unreadable' }),
  blob('config too long', status(200, {}, Buffer.concat([CONFIG, Buffer.from(' ')])), { ours: 'image_unreadable' }),
  blob('config 404', status(404), { ours: 'image_unreadable' }),
];

export const TABLE = { CHALLENGES, TOKENS, HEADS, REDIRECTS, CONTENTS };

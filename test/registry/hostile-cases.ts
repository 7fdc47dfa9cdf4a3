import { gzipSync } from 'node:zlib';
import { digestOfBytes } from '../../src/registry/digest.ts';
import { MEDIA } from '../../src/registry/manifest.ts';
import type { Task } from './hostile-reader.ts';
import { type Asked, answer, pour } from './hostile-server.ts';

export interface HostileCase {
  name: string;
  serve(asked: Asked): void;
  /** What may become of it: codes of failures, or `read`. */
  outcomes: readonly string[];
  work?: Task['work'];
  as?: Task['as'];
  /** It ends by a limit of time and by nothing else. */
  slow?: true;
  /** What listens: HTTP, TLS with a certificate nobody has signed, bytes that are nothing, or nobody who says a word. */
  speaks?: 'http' | 'tls' | 'nonsense' | 'nothing';
}

const MIB = 1024 * 1024;
const OK = 'HTTP/1.1 200 OK\r\n';
const JSON_TYPE = `content-type: ${MEDIA.ociManifest}\r\n`;
const CHUNKED = `${OK}${JSON_TYPE}transfer-encoding: chunked\r\n\r\n`;
const MUCH = Buffer.alloc(64 * 1024, ' ');
const MUCH_CHUNKED = Buffer.concat([Buffer.from('10000\r\n'), MUCH, Buffer.from('\r\n')]);
/** A gibibyte of spaces in a mebibyte: gzip streams may follow one another. */
const BOMB = Buffer.concat(new Array<Buffer>(64).fill(gzipSync(Buffer.alloc(16 * MIB, ' '))));

const CONFIG = Buffer.from('{"architecture":"amd64","os":"linux"}');
const configOf = (size: number) => ({
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: digestOfBytes(CONFIG),
  size,
});
const manifestText = (change: object = {}) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA.ociManifest,
    config: configOf(CONFIG.length),
    layers: [],
    ...change,
  });
const listText = (entries: number) =>
  JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA.ociIndex,
    manifests: Array.from({ length: entries }, (_, at) => ({
      mediaType: MEDIA.ociManifest,
      digest: `sha256:${String(at).padStart(64, '0')}`,
      size: 100,
      platform: { architecture: `a${at}`, os: 'linux' },
    })),
  });

/** HEAD is refused, so that everything goes through GET. */
const onGet =
  (serve: (asked: Asked) => void) =>
  (asked: Asked): void =>
    asked.method === 'HEAD' ? answer(asked.socket, 405, {}) : serve(asked);

/** The manifest is as it should be; what follows it is not. */
const onConfig = (serve: (asked: Asked) => void, change: object = {}) =>
  onGet((asked) => {
    if (asked.path.includes('/manifests/'))
      answer(asked.socket, 200, { 'content-type': MEDIA.ociManifest }, manifestText(change));
    else serve(asked);
  });

/** Everything is challenged; the token service is on the same host. */
const onToken = (serve: (asked: Asked) => void) => (asked: Asked) => {
  if (asked.path.startsWith('/token')) serve(asked);
  else answer(asked.socket, 401, { 'www-authenticate': `Bearer realm="http://${asked.host}/token"` });
};
const challengedBy = (realm: (asked: Asked) => string) => (asked: Asked) =>
  answer(asked.socket, 401, { 'www-authenticate': `Bearer realm="${realm(asked)}"` });
const redirectedTo = (location: (asked: Asked) => string) => (asked: Asked) =>
  answer(asked.socket, 307, { location: location(asked) });
const raw = (bytes: string) => onGet(({ socket }) => socket.end(bytes));
const poured = (start: string, piece: Buffer | string, every?: number) =>
  onGet(({ socket }) => void pour(socket, start, piece, every));
const portOf = ({ host }: Asked) => host.split(':')[1];

const SLOW = { outcomes: ['registry_slow'], slow: true } as const;
const INVALID = { outcomes: ['registry_answer_invalid'] } as const;
const BROKEN = { outcomes: ['registry_unavailable'] } as const;
const UNREADABLE = { outcomes: ['image_unreadable'] } as const;
const REFUSED = { outcomes: ['registry_address_refused'] } as const;

export const HOSTILE: readonly HostileCase[] = [
  // time
  { name: 'never answers', serve: () => {}, ...SLOW },
  { name: 'headers, a byte at a time', serve: poured(OK, 'a', 20), ...SLOW },
  { name: 'headers, a line at a time', serve: poured(OK, 'a: b\r\n', 200), ...SLOW },
  { name: 'a manifest, a byte at a time', serve: poured(`${OK}${JSON_TYPE}\r\n`, ' ', 20), ...SLOW },
  {
    name: 'a manifest that stops in the middle',
    serve: onGet(({ socket }) => void socket.write(`${OK}content-length: 9\r\n\r\n{`)),
    ...SLOW,
  },
  {
    name: 'a config, a byte at a time',
    serve: onConfig(({ socket }) => void pour(socket, `${OK}\r\n`, ' ', 100)),
    ...SLOW,
  },
  { name: 'a blob, ten bytes at a time', work: 'blob', serve: poured(`${OK}\r\n`, '0123456789', 20), ...SLOW },
  { name: 'a blob without end, at full speed', work: 'blob', serve: poured(`${OK}\r\n`, MUCH), ...SLOW },
  {
    name: 'a token, a byte at a time',
    serve: onToken(({ socket }) => void pour(socket, `${OK}\r\n`, ' ', 20)),
    ...SLOW,
  },
  { name: 'early hints without end', serve: poured('', 'HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\n', 50), ...SLOW },
  { name: 'a chunk with an extension without end', serve: poured(`${CHUNKED}1;`, 'a=b;', 20), ...SLOW },
  {
    name: 'an upload that is not read',
    work: 'large upload',
    serve: ({ method, host, socket }) => {
      if (method === 'HEAD') answer(socket, 404, {});
      if (method === 'POST') answer(socket, 202, { location: `http://${host}/v2/upload` });
    },
    ...SLOW,
  },
  { name: 'a TLS handshake that nobody answers', as: 'trusted', speaks: 'nothing', serve: () => {}, ...BROKEN },

  // size
  { name: 'a header without end', serve: poured(`${OK}a: `, 'a'.repeat(10_000)), ...INVALID },
  { name: 'spaces before a header without end', serve: poured(`${OK}a:`, MUCH), ...SLOW },
  { name: 'headers without end', serve: poured(OK, 'a: b\r\n'.repeat(1000)), ...INVALID },
  {
    name: 'trailers without end',
    serve: poured(`${CHUNKED}1\r\n{\r\n0\r\n`, 'a: b\r\n'.repeat(1000)),
    outcomes: ['registry_answer_invalid', 'image_unreadable', 'registry_slow'],
  },
  { name: 'a manifest without end', serve: poured(CHUNKED, MUCH_CHUNKED), ...UNREADABLE },
  {
    name: 'a manifest of a gibibyte',
    serve: poured(`${OK}content-length: ${1024 * MIB}\r\n\r\n`, MUCH),
    ...UNREADABLE,
  },
  {
    name: 'a manifest that unpacks to a gibibyte',
    serve: onGet(({ socket }) => answer(socket, 200, { 'content-encoding': 'gzip' }, BOMB)),
    ...UNREADABLE,
  },
  {
    name: 'a token of three gibibytes',
    serve: onToken(({ socket }) => void pour(socket, `${OK}content-length: ${3072 * MIB}\r\n\r\n`, MUCH)),
    ...INVALID,
  },
  {
    name: 'a token that unpacks to a gibibyte',
    serve: onToken(({ socket }) => answer(socket, 200, { 'content-encoding': 'gzip' }, BOMB)),
    ...INVALID,
  },
  { name: 'an error without end', serve: poured(`HTTP/1.1 400 Bad\r\n\r\n`, MUCH), outcomes: ['registry_refused'] },
  { name: 'a 404 without end', serve: poured(`HTTP/1.1 404 Not\r\n\r\n`, MUCH), outcomes: ['image_not_found'] },
  { name: 'a 401 without end', serve: poured(`HTTP/1.1 401 No\r\n\r\n`, MUCH), outcomes: ['registry_denied'] },
  { name: 'a 503 without end', serve: poured(`HTTP/1.1 503 No\r\n\r\n`, MUCH), ...BROKEN },
  {
    name: 'a redirect without end, in a loop',
    serve: onGet(({ socket, path }) => void pour(socket, `HTTP/1.1 307 There\r\nlocation: ${path}\r\n\r\n`, MUCH)),
    ...INVALID,
  },
  {
    name: '65,000 challenges',
    serve: (asked) => answer(asked.socket, 401, { 'www-authenticate': 'Bearer realm="x", '.repeat(65_000) }),
    ...INVALID,
  },
  {
    name: 'as many challenges as a header holds',
    serve: (asked) => answer(asked.socket, 401, { 'www-authenticate': 'a, '.repeat(5000) }),
    outcomes: ['registry_denied'],
  },
  {
    name: 'a list of 100,000 entries',
    work: 'arches',
    serve: onGet(({ socket }) => answer(socket, 200, { 'content-type': MEDIA.ociIndex }, listText(100_000))),
    ...UNREADABLE,
  },
  {
    name: 'a list of 20,000 entries',
    work: 'arches',
    serve: onGet(({ socket }) => answer(socket, 200, { 'content-type': MEDIA.ociIndex }, listText(20_000))),
    ...UNREADABLE,
  },
  {
    name: 'a token in a mebibyte of brackets',
    serve: onToken(({ socket }) => answer(socket, 200, {}, '['.repeat(MIB))),
    ...INVALID,
  },
  {
    name: 'an error of a mebibyte of brackets',
    serve: onGet(({ socket }) => answer(socket, 400, {}, '['.repeat(MIB))),
    outcomes: ['registry_refused'],
  },
  {
    name: 'a list of 3,000 entries',
    work: 'arches',
    serve: onGet(({ socket }) => answer(socket, 200, { 'content-type': MEDIA.ociIndex }, listText(3000))),
    outcomes: ['read'],
  },
  {
    name: 'four mebibytes of brackets',
    serve: onGet(({ socket }) => answer(socket, 200, {}, '['.repeat(4 * MIB))),
    ...UNREADABLE,
  },
  {
    name: 'a config of a gibibyte, as the manifest says',
    serve: onConfig(({ socket }) => void pour(socket, `${OK}\r\n`, MUCH), { config: configOf(1024 * MIB) }),
    ...UNREADABLE,
  },
  {
    name: 'a config that does not end where it should',
    serve: onConfig(({ socket }) => void pour(socket, `${OK}\r\n`, MUCH)),
    ...UNREADABLE,
  },
  {
    name: 'a config that is shorter than it should',
    serve: onConfig(({ socket }) => answer(socket, 200, {}, '{')),
    ...UNREADABLE,
  },

  // form
  { name: 'nothing but 100 Continue', serve: poured('', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(100)), ...BROKEN },
  { name: 'no HTTP', serve: raw('hello\r\n\r\n'), ...INVALID },
  { name: 'hangs up at once', serve: ({ socket }) => socket.destroy(), ...BROKEN },
  {
    name: 'hangs up in the headers',
    serve: raw(`${OK}a: `),
    outcomes: ['registry_unavailable', 'registry_answer_invalid'],
  },
  { name: 'hangs up in the body', serve: raw(`${OK}content-length: 100\r\n\r\n{`), ...BROKEN },
  {
    name: 'hangs up in a chunk',
    serve: raw(`${CHUNKED}ff\r\n{`),
    outcomes: ['registry_unavailable', 'registry_answer_invalid'],
  },
  {
    name: 'resets in the body',
    serve: onGet(({ socket }) => socket.write(`${OK}content-length: 100\r\n\r\n{`, () => socket.resetAndDestroy())),
    ...BROKEN,
  },
  { name: 'two lengths', serve: raw(`${OK}content-length: 1\r\ncontent-length: 2\r\n\r\n{}`), ...BROKEN },
  { name: 'a length below zero', serve: raw(`${OK}content-length: -1\r\n\r\n{}`), ...INVALID },
  {
    name: 'a length that is too small',
    serve: raw(`${OK}${JSON_TYPE}content-length: 1\r\n\r\n{}{}`),
    outcomes: ['image_unreadable', 'registry_answer_invalid'],
  },
  { name: 'a chunk of no size', serve: raw(`${CHUNKED}zz\r\n{}\r\n`), ...INVALID },
  { name: 'a chunk of 2^64', serve: raw(`${CHUNKED}10000000000000000\r\n{}\r\n`), ...INVALID },
  {
    name: 'gzip that is none',
    serve: onGet(({ socket }) => answer(socket, 200, { 'content-encoding': 'gzip' }, '{"schemaVersion":2}')),
    ...INVALID,
  },
  {
    name: 'a Retry-After of a million years',
    serve: ({ socket }) => answer(socket, 429, { 'retry-after': '9'.repeat(30) }),
    ...BROKEN,
  },

  // where it leads
  { name: 'a redirect loop', serve: redirectedTo(({ path }) => path), ...INVALID },
  { name: 'redirects to ever new places', serve: redirectedTo(({ path }) => `${path}x`), ...INVALID },
  { name: 'a stranger on this machine', as: 'stranger', serve: () => {}, ...REFUSED },
  {
    name: 'a realm on another name of this machine',
    serve: challengedBy((asked) => `https://localhost:${portOf(asked)}/token`),
    ...REFUSED,
  },
  { name: 'a realm at the metadata service', serve: challengedBy(() => 'https://169.254.169.254/token'), ...REFUSED },
  { name: 'a realm that redirects to IPv6 loopback', serve: onToken(redirectedTo(() => 'https://[::1]/')), ...REFUSED },
  {
    name: 'a manifest redirected to a mapped loopback address',
    serve: onGet(redirectedTo(() => 'https://[::ffff:127.0.0.2]/')),
    ...REFUSED,
  },
  {
    name: 'a config redirected to plain HTTP elsewhere',
    serve: onConfig(redirectedTo(() => 'http://10.0.0.1/')),
    ...INVALID,
  },
  {
    name: 'an upload that is wanted elsewhere',
    work: 'upload',
    serve: ({ method, socket }) =>
      method === 'HEAD' ? answer(socket, 404, {}) : answer(socket, 202, { location: 'https://127.0.0.2/upload' }),
    ...REFUSED,
  },
  {
    name: 'plain HTTP where TLS is spoken',
    as: 'trusted',
    serve: raw('HTTP/1.1 400 Bad\r\n\r\n'),
    outcomes: ['registry_tls_failed'],
    speaks: 'nonsense',
  },
  { name: 'a certificate of nobody', as: 'trusted', serve: () => {}, outcomes: ['registry_tls_failed'], speaks: 'tls' },
];

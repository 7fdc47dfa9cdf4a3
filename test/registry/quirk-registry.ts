import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { digestOfBytes } from '../../src/registry/digest.ts';
import { MEDIA } from '../../src/registry/manifest.ts';

/** Answers a call instead of the registry; `host` is the registry's own `127.0.0.1:port`. */
export type Reply = (response: ServerResponse, host: string, request: IncomingMessage) => void;

/** How a registry departs from what most do. */
export interface Quirks {
  /** Values of `WWW-Authenticate`, in which `{host}` stands for the registry; none are asked for when absent. */
  challenge?: readonly string[];
  head?: Reply;
  token?: Reply;
  manifest?: Reply;
  /** The image's config. */
  blob?: Reply;
  list?: (entry: object) => object;
}

export interface QuirkRegistry {
  host: string;
  quirks: Quirks;
  /** `METHOD /path` of each call. */
  calls: string[];
  close(): Promise<void>;
}

/** Credentials that a quirk registry takes, and the token it gives. */
export const USER = 'u:p';
const TAKEN = [`Basic ${Buffer.from(USER).toString('base64')}`, 'Bearer good'];

const json = (value: object) => Buffer.from(JSON.stringify(value));
export const CONFIG = json({
  architecture: 'amd64',
  os: 'linux',
  config: { Labels: { quirk: 'yes' } },
  rootfs: { type: 'layers', diff_ids: [] },
});
export const MANIFEST = json({
  schemaVersion: 2,
  mediaType: MEDIA.dockerManifest,
  config: {
    mediaType: 'application/vnd.docker.container.image.v1+json',
    digest: digestOfBytes(CONFIG),
    size: CONFIG.length,
  },
  layers: [],
});

/** A registry over HTTP with one image, `ns/image:tag`, and the quirks of the moment. */
export async function startQuirkRegistry(): Promise<QuirkRegistry> {
  const registry: QuirkRegistry = { host: '', quirks: {}, calls: [], close: async () => {} };
  const server = createServer((request, response) => {
    const { method, url = '' } = request;
    registry.calls.push(`${method} ${url}`);
    const { quirks, host } = registry;
    const reply = (quirk: Reply | undefined, usual: Reply) => (quirk ?? usual)(response, host, request);
    if (url.startsWith('/token')) return reply(quirks.token, tokenAnswer({ token: 'good', expires_in: 300 }));
    if (url === '/elsewhere/token') return reply(undefined, tokenAnswer({ token: 'good' }));
    if (url === '/elsewhere/config') return reply(undefined, send(CONFIG));
    if (quirks.challenge !== undefined && !TAKEN.includes(request.headers.authorization ?? '')) {
      const challenges = quirks.challenge.map((text) => text.replaceAll('{host}', host));
      if (challenges.length > 0) response.setHeader('www-authenticate', challenges);
      response.writeHead(401).end('{}');
      return;
    }
    if (url === '/v2/') return reply(undefined, send(json({})));
    if (url.includes('/blobs/')) return reply(quirks.blob, send(CONFIG));
    if (method === 'HEAD') return reply(quirks.head, manifestAnswer);
    reply(quirks.manifest, manifestAnswer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  registry.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  registry.close = () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections());
  return registry;
}

const send =
  (bytes: Buffer): Reply =>
  (response) =>
    response.end(bytes);

const manifestAnswer: Reply = (response) => {
  response.setHeader('docker-content-digest', digestOfBytes(MANIFEST));
  response.setHeader('content-length', MANIFEST.length);
  response.setHeader('content-type', MEDIA.dockerManifest);
  response.end(MANIFEST);
};

export const status =
  (code: number, headers: Record<string, string> = {}, body: string | Buffer = ''): Reply =>
  (response) =>
    response.writeHead(code, headers).end(body);

/** A token service's answer in JSON. */
export const tokenAnswer = (body: unknown, code = 200): Reply =>
  status(code, { 'content-type': 'application/json' }, JSON.stringify(body));

/** A redirect; `{host}` in the location stands for the registry. */
export const redirect =
  (code: number, location: string): Reply =>
  (response, host) =>
    response.writeHead(code, { location: location.replaceAll('{host}', host) }).end();

/** The manifest with other headers. */
export const manifestWith =
  (headers: Record<string, string>, body: Buffer = MANIFEST): Reply =>
  (response) =>
    response.writeHead(200, headers).end(body);

export const gzipped = (bytes: Buffer): Buffer => gzipSync(bytes);

import { type ChildProcess, spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { type ClientHttp2Session, connect } from 'node:http2';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { Failure } from '../errors/failure.ts';
import { killedWithUs } from '../process/dying.ts';
import { childEnvironment, run } from '../process/run.ts';
import type { RegistryClient } from '../registry/client.ts';
import { nameOf, withDigest } from '../registry/pull-spec.ts';
import { freePort } from './ports.ts';

/**
 * Unpacks the image of one architecture into a directory, layer by layer, as a container engine would (owners and
 * deletions aside).
 *
 * @throws Failure `arches_unavailable` when there is no image for it, `process_failed` when a layer cannot be unpacked
 */
export async function unpackImage(client: RegistryClient, spec: string, arch: string, dir: string): Promise<void> {
  const { document } = await client.manifest(spec);
  const entries = document.kind === 'list' ? document.manifests : [];
  const digest = entries.find(({ platform }) => platform?.architecture === arch)?.digest;
  if (digest === undefined) throw new Failure('arches_unavailable', `${spec} has no image for ${arch}`);
  const image = await client.image(withDigest(spec, digest));
  await mkdir(dir, { recursive: true });
  for (const layer of image.document.layers) {
    const file = join(dir, '.layer');
    await pipeline(await client.blob(nameOf(spec), layer), createWriteStream(file));
    const ran = await run('tar', ['-xpf', file, '-C', dir, '--no-same-owner'], { timeout: 120_000 });
    if (ran.exitCode !== 0)
      throw new Failure('process_failed', `A layer of ${spec} cannot be unpacked`, { cause: ran.stderr });
    await rm(file);
  }
}

export interface ServedCatalog {
  port: number;
  pid: number;
  /** Ends the server and waits until it is gone. */
  close(): Promise<void>;
}

/**
 * Serves an unpacked catalog image on loopback as its pod would, opm's integrity check on the cache enforced.
 *
 * @param root directory with /configs and /tmp/cache in it
 * @throws Failure `process_failed` with what opm says when it ends before it serves
 */
export async function serveCatalog({ opmPath, root }: { opmPath: string; root: string }): Promise<ServedCatalog> {
  const port = await freePort();
  const args = [
    'serve',
    join(root, 'configs'),
    `--cache-dir=${join(root, 'tmp/cache')}`,
    '--cache-enforce-integrity',
    ...['--port', String(port), '--termination-log', '/dev/null', '--pprof-addr', ''],
  ];
  const child = spawn(opmPath, args, { env: childEnvironment(), stdio: ['ignore', 'ignore', 'pipe'] });
  const kill = () => void child.kill('SIGKILL');
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  killedWithUs(kill, gone);
  await serving(child);
  return {
    port,
    pid: child.pid ?? 0,
    async close() {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

function serving(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const failed = (cause: unknown) =>
      reject(new Failure('process_failed', 'opm does not serve the catalog', { cause }));
    child.once('error', failed);
    child.once('close', () => failed(said.join('\n')));
    if (!child.stderr) return;
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line);
      if (line.includes('serving registry')) resolve();
    });
  });
}

export interface CatalogBundle {
  name: string;
  package: string;
  channel: string;
  /** Pull spec. */
  image: string;
  version: string;
  replaces: string;
}

/** The packages a catalog server offers, sorted; asked over gRPC as OLM asks (`api.Registry/ListPackages`). */
export async function listPackages(port: number): Promise<string[]> {
  return (await ask(port, 'ListPackages')).map((message) => message.get(1) ?? '').sort();
}

/** The bundles a catalog server offers, one per channel they are in (`api.Registry/ListBundles`). */
export async function listBundles(port: number): Promise<CatalogBundle[]> {
  return (await ask(port, 'ListBundles')).map((message) => ({
    name: message.get(1) ?? '',
    package: message.get(2) ?? '',
    channel: message.get(3) ?? '',
    image: message.get(6) ?? '',
    version: message.get(9) ?? '',
    replaces: message.get(13) ?? '',
  }));
}

/** A protobuf message's string fields by number; the last one counts where a field is repeated. */
type Message = ReadonlyMap<number, string>;

async function ask(port: number, method: string): Promise<Message[]> {
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    return frames(await exchange(session, `/api.Registry/${method}`)).map(parseMessage);
  } finally {
    session.close();
  }
}

/** Sends an empty message and gives the answer's body: gRPC frames. */
function exchange(session: ClientHttp2Session, path: string): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const failed = (cause: unknown) =>
      reject(new Failure('process_failed', `The catalog server did not answer ${path}`, { cause }));
    session.once('error', failed);
    const call = session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    const chunks: Buffer[] = [];
    let status: unknown;
    const note = (headers: Record<string, unknown>) => {
      status = headers['grpc-status'] ?? status;
    };
    call.on('response', note);
    call.on('trailers', note);
    call.on('data', (chunk: Buffer) => chunks.push(chunk));
    call.once('error', failed);
    call.once('end', () => (String(status) === '0' ? resolve(Buffer.concat(chunks)) : failed(`gRPC status ${status}`)));
    // One frame: not compressed, length zero.
    call.end(Buffer.alloc(5));
  });
}

/** Each frame: one byte that says whether it is compressed, four of length, the message. */
function frames(body: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    found.push(body.subarray(at + 5, end));
    at = end;
  }
  return found;
}

function parseMessage(bytes: Buffer): Message {
  const fields = new Map<number, string>();
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    // Strings and nested messages (wire type 2) are all these messages have; numbers are stepped over.
    if ((key & 7) === 2) {
      const length = varint();
      fields.set(key >> 3, bytes.toString('utf8', at, at + length));
      at += length;
    } else varint();
  }
  return fields;
}

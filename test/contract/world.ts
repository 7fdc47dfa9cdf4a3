import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Agent, request } from 'undici';
import { vi } from 'vitest';
import { realParts } from '../../src/sandbox/cluster/parts.ts';
import { type ClusterKind, openLayout } from '../../src/sandbox/layout.ts';
import { imitatedParts } from '../../src/sandbox/parts.ts';
import { clusterAccess } from '../../src/sandbox/tenant.ts';

/** Which kind of cluster the cases run against: the imitation, or with INDEXWRIGHT_CLUSTER=real the programs themselves. */
export const KIND: ClusterKind = process.env.INDEXWRIGHT_CLUSTER === 'real' ? 'real' : 'imitated';

/** A real cluster on a busy machine takes its time; nothing is asserted about it. */
export const LONG = { timeout: 120_000, interval: 50 };

export interface Answer {
  code: number;
  text: string;
  headers: Record<string, string | string[] | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes; tests say what they expect of them
  json: any;
}

export interface CallOptions {
  /** Bearer token; the administrator's when absent, none when empty. */
  token?: string;
  type?: string;
}

/** A cluster of either kind with Pipelines-as-Code and a GitLab, and a plain HTTP client of its API server. */
export async function contractWorld({ pipelinesAsCode }: { pipelinesAsCode: 'there' | 'not needed' }) {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-contract-'));
  const layout = await openLayout(dir, KIND);
  const imitated = KIND === 'imitated' ? imitatedParts(layout) : undefined;
  const parts = imitated ?? realParts(layout);
  const wanted = [parts.kubernetes, ...(pipelinesAsCode === 'there' ? [parts.gitlab, parts.pipelinesAsCode] : [])];
  const stop = async () => {
    for (const part of wanted.toReversed()) await part.stop();
    await rm(dir, { recursive: true, force: true });
  };
  try {
    for (const part of wanted) await part.start();
  } catch (thrown) {
    await stop();
    throw thrown;
  }
  const { server, ca, token: admin } = clusterAccess(layout);
  const agent = new Agent({ allowH2: false, bodyTimeout: 0, connect: { ca } });
  const headersFor = ({ token = admin, type = 'application/json' }: CallOptions, body: unknown) => ({
    ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
    ...(body === undefined ? {} : { 'content-type': type }),
  });

  async function call(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Answer> {
    const answer = await request(server + path, {
      method: method as 'GET',
      dispatcher: agent,
      headers: headersFor(options, body),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    const isJson = String(answer.headers['content-type']).includes('json');
    return { code: answer.statusCode, headers: answer.headers, text, json: isJson ? JSON.parse(text) : undefined };
  }

  /** Makes a namespace in which pods can be made. */
  async function namespace(name: string): Promise<string> {
    await call('POST', '/api/v1/namespaces', { metadata: { name } });
    const path = `/api/v1/namespaces/${name}`;
    await vi.waitUntil(async () => (await call('GET', `${path}/serviceaccounts/default`)).code === 200, LONG);
    return path;
  }

  return {
    dir,
    parts,
    /** Of the imitation; undefined where the programs are real. */
    imitated,
    layout,
    admin,
    call,
    namespace,
    /** The frames of a watch up to the `count`th of a type; all when it ends before. */
    async frames(
      path: string,
      last: string,
      count: number,
    ): Promise<{ code: number; frames: { type: string; object: Answer['json'] }[] }> {
      const stopping = new AbortController();
      const answer = await request(server + path, {
        dispatcher: agent,
        headers: headersFor({}, undefined),
        signal: stopping.signal,
      });
      answer.body.on('error', () => {});
      const frames: { type: string; object: Answer['json'] }[] = [];
      let rest = '';
      try {
        for await (const chunk of answer.body.setEncoding('utf8')) {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          frames.push(...lines.filter(Boolean).map((line) => JSON.parse(line)));
          if (frames.filter(({ type }) => type === last).length >= count) break;
        }
      } finally {
        stopping.abort();
      }
      return { code: answer.statusCode, frames };
    },
    async close() {
      await agent.destroy();
      await stop();
    },
  };
}
export type ContractWorld = Awaited<ReturnType<typeof contractWorld>>;

/** An answer in one line, without what differs from one run to the next. */
export function said({ code, json, text }: Answer): string {
  const words = json === undefined ? text.trim() : `${json.reason ?? ''} ${json.message ?? json.kind}`.trim();
  return `${code} ${masked(words)}`;
}

/** Text without identifiers, versions and times. */
export function masked(text: string): string {
  return text
    .replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'UID')
    .replaceAll(/\b[0-9a-f]{40}\b/g, 'SHA')
    .replace(/(continue key is not valid): .*/, '$1')
    .replaceAll(/\bin record \(\d+\)/g, 'in record (N)')
    .replaceAll(/127\.0\.0\.1:\d+/g, 'HOST');
}

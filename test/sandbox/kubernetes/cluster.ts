import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Agent, request } from 'undici';
import { type Kubernetes, type KubernetesOptions, startKubernetes } from '../../../src/sandbox/kubernetes/server.ts';

export const RUNS = '/apis/tekton.dev/v1/namespaces/tenant/pipelineruns';

export interface Frame {
  type: string;
  object: { kind: string; code?: number; reason?: string; message?: string; metadata: Record<string, unknown> };
}

export interface Watching {
  next(): Promise<Frame | 'end' | 'broken'>;
  stop(): void;
}

/** A running API server and a plain HTTP client for it. */
export async function cluster(options: Partial<KubernetesOptions> = {}) {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'kubernetes-')));
  const kubernetes: Kubernetes = await startKubernetes({ dir, ...options });
  const agent = new Agent({ connect: { ca: kubernetes.caPem }, allowH2: false });
  const headers = (token: string | undefined) => (token ? { authorization: `Bearer ${token}` } : {});

  async function call(
    method: string,
    path: string,
    body?: unknown,
    { token = kubernetes.access.admin, type = 'application/json' }: { token?: string; type?: string } = {},
  ) {
    const answer = await request(kubernetes.url + path, {
      method: method as 'GET',
      dispatcher: agent,
      headers: { ...headers(token), ...(body === undefined ? {} : { 'content-type': type }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.body.text();
    const json = answer.headers['content-type']?.includes('json') ? JSON.parse(text) : undefined;
    return { code: answer.statusCode, headers: answer.headers, text, json };
  }

  async function watch(path: string): Promise<Watching> {
    const stopping = new AbortController();
    const answer = await request(kubernetes.url + path, {
      dispatcher: agent,
      headers: headers(kubernetes.access.admin),
      signal: stopping.signal,
    });
    answer.body.on('error', () => {});
    const lines = createInterface({ input: answer.body })[Symbol.asyncIterator]();
    let broken = false;
    answer.body.on('error', () => {
      broken = true;
    });
    return {
      async next() {
        const line = await lines.next().catch(() => ({ done: true as const, value: undefined }));
        if (line.done) return broken ? 'broken' : 'end';
        return JSON.parse(line.value) as Frame;
      },
      stop: () => stopping.abort(),
    };
  }

  return {
    dir,
    kubernetes,
    call,
    watch,
    run: (name: string, labels: Record<string, string> = {}, more: Record<string, unknown> = {}) => ({
      apiVersion: 'tekton.dev/v1',
      kind: 'PipelineRun',
      metadata: { name, labels, ...more },
      spec: { pipelineSpec: { tasks: [] } },
    }),
    async stop({ keep = false } = {}) {
      await kubernetes.close();
      await agent.destroy();
      if (!keep) await rm(dir, { recursive: true, force: true });
    },
  };
}

export async function tenant(world: Awaited<ReturnType<typeof cluster>>): Promise<void> {
  await world.call('POST', '/api/v1/namespaces', { metadata: { name: 'tenant' } });
}

import { readFile } from 'node:fs/promises';
import type { ConfigurationOptions, CoreV1Api, CustomObjectsApi, RequestContext } from '@kubernetes/client-node';
import { Agent, request } from 'undici';
import { z } from 'zod';
import type { ClusterConfig } from '../config/schema.ts';
import { describe, Failure } from '../errors/failure.ts';
import { registerSecret } from '../telemetry/secrets.ts';

/** Loaded at the first use: half a second and 90 MB that programs without a cluster need not pay. */
const library = () => import('@kubernetes/client-node');

interface Apis {
  custom: CustomObjectsApi;
  core: CoreV1Api;
  /** Option for patches; without it the library says JSON patch of any body. */
  mergePatch: ConfigurationOptions;
}

/** What a call does, for messages: `list pipelineruns`. */
export interface Access {
  verb: 'get' | 'list' | 'watch' | 'patch';
  resource: 'pipelineruns' | 'taskruns' | 'pods/log';
}

export interface WatchOptions {
  path: string;
  query: Record<string, string | boolean>;
  onEvent: (type: string, object: unknown) => void;
  signal: AbortSignal;
}

/** One API server, one namespace, one token. */
export interface Connection {
  readonly namespace: string;
  /**
   * One call within the configured time. Gives null where the object is not there (404).
   *
   * @throws Failure `kubernetes_denied` (401, 403, other refusals), `kubernetes_unavailable` (429, 5xx, network, timeout,
   *   403 of a server that is not ready), the signal's reason when aborted
   */
  call<T>(access: Access, work: (apis: Apis) => Promise<T>, signal?: AbortSignal): Promise<T | null>;
  /** Watches until the server, the network or the signal ends it; throws a Failure where the end is not a clean one. */
  watch(options: WatchOptions): Promise<void>;
  close(): Promise<void>;
}

/**
 * Connects to a cluster. Nothing is sent yet. Token and CA files are read again at each call, so a renewed one is taken up.
 *
 * @param call milliseconds one call may take
 */
export function connect(target: ClusterConfig, { call }: { call: number }): Connection {
  const plain = target.url.startsWith('http:');
  let wire: { ca: string; agent: Agent } | undefined;

  /** The library makes a new agent, and so a new TLS session, for every call; this one is kept while the CA is the same. */
  async function agent(): Promise<Agent> {
    const ca = plain ? '' : await readConfigured(target, 'caFile');
    if (wire?.ca !== ca) {
      void wire?.agent.close();
      wire = { ca, agent: newAgent(ca) };
    }
    return wire.agent;
  }

  async function authenticate(context: RequestContext, dispatcher: Agent): Promise<string> {
    const token = (await readConfigured(target, 'tokenFile')).trim();
    registerSecret(token);
    context.setHeaderParam('Authorization', `Bearer ${token}`);
    context.setDispatcher(dispatcher);
    return token;
  }

  const server = target.url.replace(/\/+$/, '');

  /**
   * A server that has just been started refuses everybody (403) until it has read its roles: at first even the question
   * whether it is ready, which everybody may ask otherwise.
   */
  async function readiness(token: string, dispatcher: Agent, signal: AbortSignal): Promise<'ready' | 'starting'> {
    const headers = { authorization: `Bearer ${token}` };
    const { statusCode, body } = await request(`${server}/readyz`, { headers, dispatcher, signal });
    await body.dump();
    return statusCode === 403 || statusCode >= 500 ? 'starting' : 'ready';
  }

  return {
    namespace: target.namespace,

    async call(access, work, signal) {
      const k8s = await library();
      const dispatcher = await agent();
      let token = '';
      const inTime = () => {
        const limit = AbortSignal.timeout(call);
        return signal ? AbortSignal.any([signal, limit]) : limit;
      };
      const attempt = () => {
        const configuration = k8s.createConfiguration({
          baseServer: new k8s.ServerConfiguration(server, {}),
          authMethods: {
            default: {
              getName: () => 'token file',
              applySecurityAuthentication: async (context) => {
                token = await authenticate(context, dispatcher);
                context.setSignal(inTime());
              },
            },
          },
        });
        return work({
          custom: new k8s.CustomObjectsApi(configuration),
          core: new k8s.CoreV1Api(configuration),
          mergePatch: k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
        });
      };
      /** Whether the refusal may be one of a moment that is over. */
      const isOver = async (thrown: unknown) => {
        // The token may have been renewed between reading it and its arrival.
        if (statusOf(thrown) === 401) return (await readConfigured(target, 'tokenFile')).trim() !== token;
        if (statusOf(thrown) !== 403) return false;
        if ((await readiness(token, dispatcher, inTime())) === 'ready') return true;
        const { message } = explain(thrown, target, access);
        throw new Failure('kubernetes_unavailable', `${message}, or the server has just been started`, {
          cause: thrown,
        });
      };
      try {
        try {
          return await attempt();
        } catch (thrown) {
          if (await isOver(thrown)) return await attempt();
          throw thrown;
        }
      } catch (thrown) {
        signal?.throwIfAborted();
        if (statusOf(thrown) === 404) return null;
        throw explain(thrown, target, access);
      }
    },

    async watch({ path, query, onEvent, signal }) {
      const k8s = await library();
      // An agent of its own: destroying it is the only way to end a watch whose answer has not come yet.
      const dispatcher = newAgent(plain ? '' : await readConfigured(target, 'caFile'));
      const config = new k8s.KubeConfig();
      config.loadFromOptions({
        clusters: [{ name: 'target', server, skipTLSVerify: false }],
        users: [{ name: 'target' }],
        contexts: [{ name: 'target', cluster: 'target', user: 'target' }],
        currentContext: 'target',
      });
      config.applySecurityAuthentication = async (context) => void (await authenticate(context, dispatcher));
      const stop = () => void dispatcher.destroy();
      signal.addEventListener('abort', stop);
      try {
        await new Promise<void>((resolve, reject) => {
          const done = (error: unknown) => (error ? reject(error) : resolve());
          new k8s.Watch(config).watch(path, query, onEvent, done).catch(reject);
        });
        signal.throwIfAborted();
      } catch (thrown) {
        signal.throwIfAborted();
        throw explain(thrown, target, { verb: 'watch', resource: 'pipelineruns' });
      } finally {
        signal.removeEventListener('abort', stop);
        await dispatcher.destroy();
      }
    },

    async close() {
      await wire?.agent.destroy();
      wire = undefined;
    },
  };
}

function newAgent(ca: string): Agent {
  return new Agent({ allowH2: false, connect: ca === '' ? {} : { ca } });
}

type FileKey = 'tokenFile' | 'caFile';

/** A key as people find it in the configuration. */
function nameOf({ name }: ClusterConfig, key: FileKey): string {
  return name === undefined ? `cluster.${key}` : `${key} of the cluster ${JSON.stringify(name)}`;
}

async function readConfigured(target: ClusterConfig, key: FileKey): Promise<string> {
  try {
    return await readFile(target[key], 'utf8');
  } catch (cause) {
    throw new Failure('configuration_invalid', `The file of ${nameOf(target, key)} cannot be read`, { cause });
  }
}

/** DOMExceptions have a `code`, too: 20 for an abort, 23 for a timeout. */
const Status = z.number().int().min(100).max(599);

/** HTTP status of what the library threw; calls and watches say it differently. */
export function statusOf(thrown: unknown): number | undefined {
  const parsed = z
    .union([
      z.object({ code: Status }).transform(({ code }) => code),
      z.object({ statusCode: Status }).transform(({ statusCode }) => statusCode),
    ])
    .safeParse(thrown);
  return parsed.data;
}

const Refusal = z.object({
  body: z
    .string()
    .transform((text, context) => {
      try {
        return JSON.parse(text) as unknown;
      } catch {
        context.addIssue('not JSON');
        return z.NEVER;
      }
    })
    .pipe(z.object({ message: z.string() })),
});
const Headers = z.object({ headers: z.record(z.string(), z.string()) });

function explain(thrown: unknown, target: ClusterConfig, { verb, resource }: Access): Failure {
  if (thrown instanceof Failure) return thrown;
  const host = new URL(target.url).host;
  const status = statusOf(thrown);
  const said = Refusal.safeParse(thrown).data?.body.message;
  const cause = thrown;
  if (status === undefined) {
    return new Failure('kubernetes_unavailable', `The cluster ${host} cannot be reached: ${reasonOf(thrown)}`, {
      cause,
    });
  }
  if (status === 401) {
    const text = `The cluster ${host} does not accept the token (401): the one in ${nameOf(target, 'tokenFile')} is wrong or has expired`;
    return new Failure('kubernetes_denied', text, { cause });
  }
  if (status === 403) {
    const text = `The token may not ${verb} ${resource} in namespace ${target.namespace} of the cluster ${host} (403): its role needs the verb "${verb}" on "${resource}"`;
    return new Failure('kubernetes_denied', text, { cause });
  }
  const text = `The cluster ${host} answered ${status} to ${verb} ${resource}${said ? `: ${said}` : ''}`;
  if (status === 429 || status >= 500 || status < 400) {
    const after = Number(Headers.safeParse(thrown).data?.headers['retry-after']);
    return new Failure('kubernetes_unavailable', text, { cause, retryAfter: after > 0 ? after : undefined });
  }
  return new Failure('kubernetes_denied', text, { cause });
}

/** `fetch failed` alone helps nobody; what it wraps does. */
function reasonOf(thrown: unknown): string {
  if (thrown instanceof Error && thrown.name === 'TimeoutError') return 'no answer in time';
  return describe(thrown).replace(/^fetch failed: /, '');
}

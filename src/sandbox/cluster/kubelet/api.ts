import { Agent, request } from 'undici';
import { z } from 'zod';
import { describe, Failure } from '../../../errors/failure.ts';

export interface CallOptions {
  body?: unknown;
  /** Media type of the body; JSON when absent. */
  type?: string;
  signal?: AbortSignal;
  /** Refusals the caller knows how to live with: the call then gives undefined. */
  expected?: readonly number[];
}

/** The API server as the kubelet's node sees it. */
export interface Api {
  readonly server: string;
  /**
   * One call; of the answer, only what `schema` asks for.
   *
   * @throws Failure `kubernetes_unavailable` (429, 5xx, network), `kubernetes_denied` (other refusals not expected)
   */
  call<Schema extends z.ZodType>(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    path: string,
    schema: Schema,
    options?: CallOptions,
  ): Promise<z.infer<Schema> | undefined>;
  /** The lines of an answer that does not end by itself. @throws Failure as `call` */
  lines(path: string, signal: AbortSignal): AsyncGenerator<string>;
  close(): Promise<void>;
}

const Status = z.object({ message: z.string() });

/**
 * A client of one API server. Bodies are sent with a length by undici, also with DELETE: without one the server takes
 * the body for the next request on the connection (real-cluster.md §4).
 *
 * @param ca PEM of the authority that signed the server's certificate
 */
export function connectNode({ server, ca, token }: { server: string; ca: string; token: string }): Api {
  const base = server.replace(/\/+$/, '');
  // No limit on bodies: a watch is silent for minutes. The time a call may take is limited by its own signal.
  const agent = new Agent({ allowH2: false, bodyTimeout: 0, connect: { ca } });
  const authorization = `Bearer ${token}`;

  async function send(method: 'GET' | 'POST' | 'PATCH' | 'DELETE', path: string, options: CallOptions) {
    const { body, type = 'application/json', signal } = options;
    try {
      return await request(`${base}${path}`, {
        method,
        dispatcher: agent,
        headers: { authorization, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': type }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (cause) {
      signal?.throwIfAborted();
      throw new Failure('kubernetes_unavailable', `${method} ${path} reached no API server: ${describe(cause)}`, {
        cause,
      });
    }
  }

  return {
    server: base,

    async call(method, path, schema, options = {}) {
      const limit = AbortSignal.timeout(30_000);
      const signal = options.signal ? AbortSignal.any([options.signal, limit]) : limit;
      const answer = await send(method, path, { ...options, signal });
      const text = await answer.body.text();
      if (answer.statusCode < 300) return schema.parse(JSON.parse(text));
      if (options.expected?.includes(answer.statusCode)) return undefined;
      throw refusal(method, path, answer.statusCode, text);
    },

    async *lines(path, signal) {
      const answer = await send('GET', path, { signal });
      if (answer.statusCode >= 300) throw refusal('GET', path, answer.statusCode, await answer.body.text());
      let rest = '';
      for await (const chunk of answer.body.setEncoding('utf8')) {
        const parts = (rest + chunk).split('\n');
        rest = parts.pop() ?? '';
        yield* parts;
      }
    },

    close: () => agent.destroy(),
  };
}

function refusal(method: string, path: string, code: number, text: string): Failure {
  const message = Status.safeParse(json(text)).data?.message ?? text;
  const passing = code === 429 || code >= 500;
  const sentence = `${method} ${path} was answered ${code}: ${message}`;
  return new Failure(passing ? 'kubernetes_unavailable' : 'kubernetes_denied', sentence);
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

import type { Hono } from 'hono';
import { createApp } from '../../src/api/app.ts';
import type { Config } from '../../src/config/schema.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { testConfig } from './config.ts';
import { freshDatabase, type TestDatabase } from './database.ts';
import { contradiction } from './description.ts';

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  json: any;
}

export interface Ask {
  user?: string;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as it is, with the JSON content type. */
  raw?: string;
  headers?: Record<string, string>;
  /** Address of the peer; 127.0.0.1, which is trusted, when not given. */
  peer?: string;
}

export interface TestApi {
  app: Hono;
  config: Config;
  dir: string;
  world: TestDatabase;
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  close(): Promise<void>;
}

/** The API on a database of its own, asked without sockets. Call `close` at the end. */
export async function testApi(change: (config: Config, dir: string) => void = () => {}): Promise<TestApi> {
  const world = await freshDatabase();
  const { config, dir, remove } = testConfig(world.url);
  change(config, dir);
  const app = createApp({ config, database: world.database, log: createLog('silent', 'api') });
  return {
    app,
    config,
    dir,
    world,
    async ask(method, path, { user, json, raw, headers, peer = '127.0.0.1' } = {}) {
      const body = json === undefined ? raw : JSON.stringify(json);
      const answer = await app.request(
        `http://iw.example.com${path}`,
        {
          method,
          headers: {
            host: 'iw.example.com',
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...(user === undefined ? {} : { 'X-Remote-User': user }),
            ...headers,
          },
          ...(body === undefined ? {} : { body }),
        },
        { incoming: { socket: { remoteAddress: peer } } },
      );
      const text = await answer.text();
      // Every answer of every test is held against the description of the API.
      const contentType = answer.headers.get('content-type');
      const problem = contradiction({ method, path, sent: parsed(body), status: answer.status, contentType, text });
      if (problem !== null) throw new Error(problem);
      const isJson = answer.headers.get('content-type') === 'application/json' && text !== '';
      return { status: answer.status, headers: answer.headers, text, json: isJson ? JSON.parse(text) : undefined };
    },
    async close() {
      await world.drop();
      remove();
    },
  };
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '');
  } catch {
    return undefined;
  }
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withEntry } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import type { Workshop } from '../../src/requests/work.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { testConfig } from '../support/config.ts';

/** A registry that lets the service in and nobody else, and what a request's change needs to read from it. */
export interface ReadingWorld {
  registry: RunningRegistry;
  /** The service's. */
  client: RegistryClient;
  shop: Workshop;
  /** State reasons in their order. */
  reasons: string[];
  close(): Promise<void>;
}

/** The request's own client has a token that opens nothing; catalog, databases and opm are not there at all. */
export async function readingWorld(): Promise<ReadingWorld> {
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-workshop-'));
  const registry = await startRegistry({
    dir: join(scratch, 'registry'),
    auth: { users: [{ user: 'service', password: 'let-me-in' }] },
  });
  const clientFor = (token: string) =>
    createRegistryClient({
      auth: withEntry(new Map(), `${registry.host}/everything:v1`, token),
      insecure: [registry.host],
      callTimeout: 10_000,
    });
  const client = clientFor('service:let-me-in');
  const { config, remove } = testConfig('postgres://127.0.0.1:9/none');
  const reasons: string[] = [];
  const absent = () => Promise.reject(new Error('reading alone does not need this'));
  return {
    registry,
    client,
    reasons,
    shop: {
      config,
      log: createLog('silent', 'test'),
      signal: new AbortController().signal,
      registry: clientFor('release:not-its-word'),
      serviceRegistry: client,
      originOf: async () => null,
      scratch,
      report: async (reason) => void reasons.push(reason),
      record: absent,
      openCatalog: absent,
      openIndexDb: absent,
      opmFor: absent,
      childEnv: {},
    },
    async close() {
      await registry.close();
      remove();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

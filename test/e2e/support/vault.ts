import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createRegistryClient, type RegistryClient } from '../../../src/registry/client.ts';
import { freePort } from '../../../src/sandbox/ports.ts';
import { startRegistry } from '../../../src/sandbox/registry.ts';

const PASSWORD = 'open-sesame-of-the-vault';

/** A registry that lets only its own user in: the service has no credentials for it. */
export interface Vault {
  /** host:port */
  host: string;
  pid: number;
  client: RegistryClient;
  /** What a request gives as `registry_auths` to get in. */
  auths: { auths: Record<string, { auth: string }> };
  close(): Promise<void>;
}

export async function startVault(): Promise<Vault> {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-vault-'));
  const port = await freePort();
  const { host, pid, close } = await startRegistry({
    dir,
    port,
    auth: { users: [{ user: 'keeper', password: PASSWORD }] },
  });
  return {
    host,
    pid,
    client: createRegistryClient({
      auth: new Map([[host, { kind: 'password', user: 'keeper', password: PASSWORD }]]),
      insecure: [host],
      callTimeout: 30_000,
    }),
    auths: { auths: { [host]: { auth: Buffer.from(`keeper:${PASSWORD}`).toString('base64') } } },
    async close() {
      await close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { createForge, type Forge } from '../../src/forge/forge.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { type GitServer, startGitServer, TOKEN } from './git-server.ts';

export const AUTHOR = { name: 'Indexwright', email: 'indexwright@example.com' };

/** The files of a small catalog with these packages. */
export function catalogFiles(packages: readonly string[]): Record<string, string> {
  const entries = packages.map((name) => [
    `configs/${name}/catalog.json`,
    `${JSON.stringify({ schema: 'olm.package', name, description: name.repeat(200) })}\n`,
  ]);
  return { Dockerfile: 'FROM scratch\n', '.iib-build-metadata.json': '{}\n', ...Object.fromEntries(entries) };
}

export interface CatalogWorld {
  server: GitServer;
  forge: Forge;
  stateDir: string;
  signal: AbortSignal;
  /** A folder that does not exist yet. */
  newDir(): string;
  /** Another process's view of the same state directory, or a wrong token's. */
  forgeWith(options?: { token?: string; stateDir?: string; callTimeout?: number }): Forge;
}

/** A git server with a catalog on branch v4.19, and a forge on it; both go when the test is over. */
export async function catalogWorld(packages: readonly string[] = ['etcd', 'quay', 'grafana']): Promise<CatalogWorld> {
  const server = await startGitServer();
  const stateDir = mkdtempSync(join(tmpdir(), 'forge-state-'));
  onTestFinished(async () => {
    await server.close();
    rmSync(stateDir, { recursive: true, force: true });
  });
  server.commit('v4.19', catalogFiles(packages));
  let dirs = 0;
  const forgeWith: CatalogWorld['forgeWith'] = (options = {}) =>
    createForge({
      url: server.url,
      token: TOKEN,
      stateDir,
      callTimeout: 10_000,
      log: createLog('silent', 'test'),
      ...options,
    });
  return {
    server,
    forge: forgeWith(),
    stateDir,
    signal: new AbortController().signal,
    newDir: () => join(stateDir, `workspace-${++dirs}`),
    forgeWith,
  };
}

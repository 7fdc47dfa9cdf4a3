import { execFile } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TOOLS } from '../../../src/sandbox/parts.ts';
import { dockerConfig } from '../../../src/sandbox/service-files.ts';
import type { World } from './world.ts';

/** An index.db that nothing but opm has touched: what the service makes of the same bundles must be equal to it. */
export interface OpmAlone {
  db: string;
  /**
   * `opm registry add` in one call, with the flags of request-handling.md §4.2.
   *
   * @returns null when opm took them, else what it says; the database is as before then
   */
  add(bundles: readonly string[], flags?: readonly string[]): Promise<string | null>;
  /** `opm registry rm`; must work. */
  remove(packages: readonly string[]): Promise<void>;
  /** `opm registry deprecatetruncate`; must work. */
  deprecate(bundles: readonly string[]): Promise<void>;
  close(): void;
}

/** Starts with a copy of a database, or with an empty one. */
export async function opmAlone(w: World, opm: string, from?: string): Promise<OpmAlone> {
  const { at, layout } = w.sandbox;
  const dir = mkdtempSync(join(layout.dir, 'opm-alone-'));
  const auth = join(dir, 'auth');
  mkdirSync(auth, { mode: 0o700 });
  const service = dockerConfig(at.registry, 'service', layout.identity.registryUsers.service);
  writeFileSync(join(auth, 'config.json'), service, { mode: 0o600 });
  const db = join(dir, 'index.db');
  if (from === undefined) writeFileSync(db, '');
  else copyFileSync(from, db);

  const registry = async (...args: string[]): Promise<Ran> => {
    // opm's own folders must not be shared between two calls.
    const cwd = mkdtempSync(join(dir, 'call-'));
    try {
      const env = { DOCKER_CONFIG: auth, REGISTRY_AUTH_FILE: join(auth, 'config.json') };
      return await runOpm(opm, ['registry', ...args], { cwd, env });
    } finally {
      rmSync(cwd, { recursive: true });
    }
  };
  const add: OpmAlone['add'] = async (bundles, flags = []) => {
    const before = `${db}.before`;
    copyFileSync(db, before);
    const images = bundles.length === 0 ? '""' : bundles.join(',');
    const args = ['--database', db, '--enable-alpha', '--bundle-images', images, '--use-http', ...flags];
    const { exitCode, stderr } = await registry('add', ...args);
    if (exitCode === 0) return null;
    copyFileSync(before, db);
    return /^Error: (.*)$/m.exec(stderr)?.[1] ?? stderr;
  };
  const emptied = await add([]);
  if (emptied !== null) throw new Error(`opm does not make an empty database: ${emptied}`);
  return {
    db,
    add,
    async remove(packages) {
      const { exitCode, stderr } = await registry('rm', '--database', db, '--packages', packages.join(','));
      if (exitCode !== 0) throw new Error(`opm does not remove: ${stderr}`);
    },
    async deprecate(bundles) {
      const args = ['--database', db, '--bundle-images', bundles.join(','), '--allow-package-removal'];
      const { exitCode, stderr } = await registry('deprecatetruncate', ...args);
      if (exitCode !== 0) throw new Error(`opm does not deprecate: ${stderr}`);
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** What `opm migrate` makes of a database, with the flags of request-handling.md §4.2: package → its catalog.json. */
export async function migrated(w: World, opm: string, db: string): Promise<Map<string, string>> {
  const dir = mkdtempSync(join(w.sandbox.layout.dir, 'migrated-'));
  try {
    const out = join(dir, 'out');
    const level = ['--migrate-level', 'bundle-object-to-csv-metadata'];
    const { exitCode, stderr } = await runOpm(opm, ['migrate', ...level, db, out], { cwd: dir, env: {} });
    if (exitCode !== 0) throw new Error(`opm does not migrate: ${stderr}`);
    return new Map(readdirSync(out).map((name) => [name, readFileSync(join(out, name, 'catalog.json'), 'utf8')]));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Ran {
  exitCode: number;
  stderr: string;
}

/** Not waiting for it in place: the imitations answer from this process. */
function runOpm(opm: string, args: string[], { cwd, env }: { cwd: string; env: Record<string, string> }): Promise<Ran> {
  const all = { PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: cwd, ...env };
  return new Promise((resolve) => {
    execFile(join(TOOLS, opm), args, { cwd, env: all, maxBuffer: 64 << 20 }, (failure, _, stderr) =>
      resolve({ exitCode: failure === null ? 0 : Number(failure.code ?? 1), stderr }),
    );
  });
}

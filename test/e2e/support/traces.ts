import { execFile } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { z } from 'zod';
import { secretsParent } from '../../../src/process/own-directory.ts';
import { RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { filesWithSecrets, type Searched, type SecretSearch } from './secret-search.ts';
import type { View, World } from './world.ts';

const run = promisify(execFile);

/** `METHOD url` of every request that a server of this process gets: the imitations, and gates before real servers. */
export function watchRequestLines(): { lines: Set<string>; stop(): void } {
  const lines = new Set<string>();
  const listen = (message: unknown) => {
    const { request } = message as { request: IncomingMessage };
    const path = request.url ?? '';
    lines.add(`${request.method} ${request.headers.host}${path}`);
  };
  subscribe('http.server.request.start', listen);
  return { lines, stop: () => unsubscribe('http.server.request.start', listen) };
}

/** Every row of every table in the database of the service, those of its job queue included: table → rows as text. */
export async function databaseRows(databaseUrl: string): Promise<Map<string, string[]>> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables
        where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema') order by 1`,
    );
    const rows = new Map<string, string[]>();
    for (const { name } of tables.rows) {
      const found = await client.query<{ row: string }>(`select t::text as row from ${name} t`);
      rows.set(
        name,
        found.rows.map(({ row }) => row),
      );
    }
    return rows;
  } finally {
    await client.end();
  }
}

/** What the API answers about a request: path → text. */
export async function apiAnswers(w: World, { id }: Pick<View, 'id'>): Promise<Map<string, string>> {
  const builds = `${w.sandbox.at.apiUrl}/api/v1/builds`;
  const paths = [
    `${builds}/${id}`,
    `${builds}?verbose=true&per_page=50`,
    `${builds}/${id}/logs`,
    `${builds}/${id}/steps`,
  ];
  const read = async (url: string) => [url, await (await fetch(url)).text()] as const;
  return new Map(await Promise.all(paths.map(read)));
}

/** All that GitLab has of the catalog: merge requests, notes, commits, statuses, and every object of the repository. */
export async function gitlabContent(w: World): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const project = w.project();
  const MergeRequests = z.array(z.looseObject({ iid: z.number() }));
  const Commits = z.array(z.looseObject({ id: z.string() }));
  const read = async <T extends z.ZodType>(path: string, schema: T) => {
    const answer = await w.gitlab('GET', `${project}${path}`, schema);
    found.set(path, JSON.stringify(answer));
    return answer;
  };
  for (const { iid } of await read('/merge_requests?state=all&per_page=100', MergeRequests)) {
    await read(`/merge_requests/${iid}`, z.unknown());
    await read(`/merge_requests/${iid}/notes`, z.unknown());
    for (const { id } of await read(`/merge_requests/${iid}/commits`, Commits)) {
      await read(`/repository/commits/${id}/statuses`, z.unknown());
    }
  }
  const repositories = w.sandbox.layout.path('gitlab', 'repositories');
  for (const name of readdirSync(repositories)) {
    const args = ['--git-dir', join(repositories, name), 'cat-file', '--batch-all-objects', '--batch', '--buffer'];
    const { stdout } = await run('git', args, { encoding: 'latin1', maxBuffer: 1 << 30 });
    found.set(`objects of ${name}`, stdout);
  }
  return found;
}

/** What the cluster keeps of the builds; Secrets are where tokens belong. */
export function clusterContent(w: World): Map<string, string> {
  const { store } = w.sandbox.parts.kubernetes.now;
  const kinds = Object.values(RESOURCES).filter((resource) => resource !== RESOURCES.secrets);
  return new Map(kinds.map((resource) => [resource.plural, JSON.stringify(store.list(resource))]));
}

/** Folders for temporary files that a program may use although TMPDIR names another. */
const COMMON = ['/tmp', '/var/tmp'];

export interface TemporaryFolders {
  /** Folders that may hold what programs of the service and of its pipeline write for a while. */
  now(): string[];
  /** Removes the folder; TMPDIR is as before. */
  close(): void;
}

/**
 * Makes TMPDIR of this process, and of all programs that it starts from now on, an empty folder: so nothing is searched
 * that others have left behind, or that tests beside this one write.
 */
export function ownTemporaryFolder(): TemporaryFolders {
  const theirs = process.env.TMPDIR;
  const own = mkdtempSync(join(tmpdir(), 'indexwright-secrets-'));
  // The user whom Postgres runs as must be able to enter it.
  chmodSync(own, 0o755);
  process.env.TMPDIR = own;
  const made = /^(tmp\.|indexwright-(copy|build|auth)|opm-|git-)/;
  const common = () =>
    COMMON.filter((folder) => existsSync(folder)).flatMap((folder) =>
      readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isDirectory() && made.test(entry.name))
        .map((entry) => join(folder, entry.name)),
    );
  const before = new Set(common());
  return {
    now: () => [own, ...common().filter((folder) => !before.has(folder)), secretsParent()],
    close() {
      if (theirs === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = theirs;
      rmSync(own, { recursive: true, force: true });
    },
  };
}

/** Files that hold secrets where anybody but their owner could read them, or that no program needs them in. */
export function carelessFiles(search: SecretSearch, folders: readonly string[], searched: Searched): string[] {
  const NEEDED = /\/(config\.json|\.git-credentials)$/;
  return filesWithSecrets(search, folders, searched)
    .filter(({ path, mode, folder }) => !NEEDED.test(path) || mode !== 0o600 || folder !== 0o700)
    .map(({ path, secrets, mode, folder }) => `${path} (${mode.toString(8)} in ${folder.toString(8)}): ${secrets}`);
}

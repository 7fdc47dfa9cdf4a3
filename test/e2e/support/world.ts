import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Client } from 'pg';
import { z } from 'zod';
import { pushBundleImage } from '../../../src/sandbox/bundle-image.ts';
import type { RealParts } from '../../../src/sandbox/cluster/parts.ts';
import { makeIndex } from '../../../src/sandbox/make-index.ts';
import type { AnyParts, Parts } from '../../../src/sandbox/parts.ts';
import { type Photograph, photograph } from '../../../src/sandbox/photograph.ts';
import { type Rest, restClient } from '../../../src/sandbox/rest.ts';
import { type Sandbox, type SandboxOptions, startRealSandbox, startSandbox } from '../../../src/sandbox/sandbox.ts';
import { newDirectory, seededDirectory } from './seeded.ts';

/** A stored request as clients see it. */
export const View = z.looseObject({
  id: z.number(),
  batch: z.number(),
  state: z.enum(['in_progress', 'complete', 'failed']),
  state_reason: z.string(),
  arches: z.array(z.string()).default([]),
  from_index_resolved: z.string().nullish(),
  index_image: z.string().nullish(),
  index_image_resolved: z.string().nullish(),
  internal_index_image_copy: z.string().nullish(),
  internal_index_image_copy_resolved: z.string().nullish(),
  state_history: z.array(z.object({ state: z.string(), state_reason: z.string(), updated: z.string() })).default([]),
});
export type View = z.infer<typeof View>;

export interface World<Of extends AnyParts = Parts> {
  sandbox: Sandbox<Of>;
  databaseUrl: string;
  /** Sends a request; the status must be 201. */
  post(route: string, body: Record<string, unknown>, options?: { user?: string }): Promise<View>;
  /** An `add` of the seeded index that overwrites it with the release team's token, changed by `body`. */
  add(body: Record<string, unknown>): Promise<View>;
  get(id: number): Promise<View>;
  /** Waits for the request's end; no longer than two minutes. */
  end(request: Pick<View, 'id'>): Promise<View>;
  /** Waits until a state reason of the request matches. */
  reason(request: Pick<View, 'id'>, pattern: RegExp): Promise<void>;
  photograph(): Promise<Photograph>;
  /** A real bundle of ../shared/data/bundles as an image, by digest. */
  bundle(operator: string, version: string): Promise<string>;
  /** A new index in the sandbox, `namespace/name:tag`, by tag; `fbcDir` holds packages that are file-based only. */
  index(name: string, ocp: string, bundles?: string[], more?: { fbcDir?: string; arches?: string[] }): Promise<string>;
  gitlab: Rest;
  /** Path of a project in GitLab's API, of the seeded catalog unless told otherwise. */
  project(repositoryUrl?: string): string;
  query<Row extends z.ZodType>(sql: string, row: Row, values?: unknown[]): Promise<z.infer<Row>[]>;
  close(): Promise<void>;
}

const SHARED = process.env.INDEXWRIGHT_SHARED ?? resolve(import.meta.dirname, '../../../../shared');

/** Why tests with real bundles are skipped, or false when they are there. */
export const noRealBundles = existsSync(join(SHARED, 'data/bundles'))
  ? false
  : `real bundles are not at ${join(SHARED, 'data/bundles')} (INDEXWRIGHT_SHARED names another place)`;

export const BUNDLES = join(SHARED, 'data/bundles');

export type AnyWorld = World<AnyParts>;

interface WorldOptions {
  workers?: number;
  deadlines?: Record<string, number>;
  settings?: SandboxOptions['settings'];
  gitlab?: SandboxOptions['gitlab'];
  /** `settings` when what the sandbox is seeded with depends on them. */
  seededBy?: 'settings';
}

/** Everything a test of whole requests needs: a sandbox with api and `workers` worker processes, short deadlines. */
export const world = async (options: WorldOptions = {}): Promise<World> =>
  worldOf(options.seededBy ? newDirectory() : await seededDirectory(), startSandbox, options);

/** The same on a real cluster, of which there can be one at a time. */
export const realWorld = (options: WorldOptions = {}): Promise<World<RealParts>> =>
  worldOf(newDirectory(), startRealSandbox, options);

async function worldOf<Of extends AnyParts>(
  dir: string,
  start: (options: SandboxOptions) => Promise<Sandbox<Of>>,
  { workers = 1, deadlines = {}, settings, gitlab: behaviour }: WorldOptions,
): Promise<World<Of>> {
  const sandbox = await start({
    dir,
    service: 'alone',
    deadlines: { patience: 5000, ...deadlines },
    ...(settings === undefined ? {} : { settings }),
    ...(behaviour === undefined ? {} : { gitlab: behaviour }),
  }).catch((thrown: unknown) => {
    rmSync(dir, { recursive: true, force: true });
    throw thrown;
  });
  const { at, seeded, layout } = sandbox;
  const close = async () => {
    await sandbox.stop();
    rmSync(dir, { recursive: true, force: true });
  };
  const names = Array.from({ length: workers }, (_, index) => `worker-${index + 1}`);
  const started = await Promise.allSettled([sandbox.startApi(), ...names.map((name) => sandbox.startWorker(name))]);
  for (const start of started) {
    if (start.status === 'fulfilled') continue;
    await close();
    throw start.reason;
  }
  const unpacked = join(dir, 'bundles');
  const get = async (id: number) => View.parse(await (await fetch(`${at.apiUrl}/api/v1/builds/${id}`)).json());
  const until = async (request: Pick<View, 'id'>, ready: (view: View) => boolean): Promise<View> => {
    for (const limit = Date.now() + 120_000; ; ) {
      const view = await get(request.id);
      if (ready(view)) return view;
      if (Date.now() > limit) throw new Error(`request ${request.id} is still ${JSON.stringify(view, null, 1)}`);
      await new Promise((next) => setTimeout(next, 100));
    }
  };
  const gitlab = restClient(`${at.gitlabUrl}/api/v4`, { 'private-token': seeded.gitlabToken });

  const self: World<Of> = {
    sandbox,
    databaseUrl: at.databaseUrl,
    gitlab,
    get,
    async post(route, body, { user } = {}) {
      const answer = await fetch(`${at.apiUrl}/api/v1/builds/${route}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(user === undefined ? {} : { 'X-Remote-User': user }) },
        body: JSON.stringify(body),
      });
      const json: unknown = await answer.json();
      if (answer.status !== 201) throw new Error(`POST ${route}: ${answer.status} ${JSON.stringify(json)}`);
      return View.parse(json);
    },
    add: (body) =>
      self.post('add', {
        from_index: seeded.fromIndex,
        bundles: [],
        overwrite_from_index: true,
        overwrite_from_index_token: `release:${layout.identity.registryUsers.release}`,
        ...body,
      }),
    end: (request) => until(request, ({ state }) => state !== 'in_progress'),
    async reason(request, pattern) {
      await until(request, (view) => view.state_history.some(({ state_reason: reason }) => pattern.test(reason)));
    },
    photograph: () => photograph(layout, seeded.gitlabToken),
    async bundle(operator, version) {
      const to = join(unpacked, operator);
      if (!existsSync(to)) {
        mkdirSync(to, { recursive: true });
        execFileSync('tar', ['-xzf', join(BUNDLES, `${operator}.tar.gz`), '-C', to]);
      }
      const client = await sandbox.registryClient();
      const ref = `${at.registry}/bundles/${operator}:v${version.replaceAll('+', '_')}`;
      return pushBundleImage(client, { bundleDir: join(to, version), ref });
    },
    async index(name, ocp, bundles = [], more = {}) {
      await makeIndex(layout, { ref: name, ocp, bundles, ...more });
      return `${at.registry}/${name}`;
    },
    project: (repositoryUrl = seeded.catalogRepoUrl) =>
      `/projects/${encodeURIComponent(new URL(repositoryUrl).pathname.slice(1))}`,
    async query(sql, row, values = []) {
      const client = new Client({ connectionString: at.databaseUrl });
      await client.connect();
      try {
        return z.array(row).parse((await client.query(sql, values)).rows) as z.infer<typeof row>[];
      } finally {
        await client.end();
      }
    },
    close,
  };
  return self;
}

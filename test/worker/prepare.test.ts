import { existsSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Failure } from '../../src/errors/failure.ts';
import type { ErrorCode } from '../../src/errors/policy.ts';
import type { Workspace } from '../../src/forge/workspace.ts';
import { ownDirectory } from '../../src/process/own-directory.ts';
import type { AnyRequestWork, Changed } from '../../src/requests/work.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { prepareDelivery } from '../../src/worker/prepare.ts';
import type { DeliveryTools } from '../../src/worker/tools.ts';

const destination = { catalog: { repository: 'https://gitlab.example/catalogs/x' }, branch: 'v4.19', overwrite: true };

/** A workspace that is a folder: committed files stay, all others go when it is discarded. */
function folder(dir: string): Workspace {
  const committed = new Set<string>();
  return {
    dir,
    base: 'base',
    head: () => `commit of ${[...committed].sort().join(', ')}`,
    async commit() {
      for (const name of await readdir(dir)) committed.add(name);
      return 'commit';
    },
    async discard() {
      for (const name of await readdir(dir)) if (!committed.has(name)) await rm(join(dir, name));
    },
  } as unknown as Workspace;
}

/** Prepares deliveries of requests whose change fails in turn with these codes, then works. */
function shop(...codes: ErrorCode[]) {
  const workDir = mkdtempSync(join(tmpdir(), 'indexwright-prepare-'));
  onTestFinished(() => rmSync(workDir, { recursive: true }));
  const seen: string[][] = [];
  const work: Pick<AnyRequestWork, 'change'> = {
    async change({ id }, workshop) {
      const { dir } = await workshop.openCatalog(destination as Changed['destination']);
      seen.push(await readdir(dir));
      writeFileSync(join(dir, `request-${id}`), '');
      const code = codes.shift();
      if (code !== undefined) throw new Failure(code, `no: ${code}`);
      const planned = { id, artifact: null };
      return {
        destination,
        planned,
        packages: [],
        commit: { subject: '', body: '' },
        metadata: {},
        arches: [],
      } as never;
    },
  };
  const tools = {
    config: { api: {} },
    workDir,
    patience: { total: 10_000, first: 1, longest: 1 },
    readingFor: async () => ({}),
    openAuthDirectory: async () => ({ env: {}, remove: async () => {} }),
    openWorkspace: async (_project: unknown, _branch: string, dir: string) => {
      await mkdir(dir);
      return folder(dir);
    },
  } as unknown as DeliveryTools;
  const prepare = (...ids: number[]) =>
    prepareDelivery(
      tools,
      () => work as AnyRequestWork,
      ids.map((id) => ({ id, type: 'add', user: null, payload: {} })),
      async () => {},
      createLog('silent', 'test'),
      new AbortController().signal,
    );
  return { prepare, seen, workDir };
}

test('a change that an outage has cut off is made anew, from where the one before had left it', async () => {
  const { prepare, seen } = shop('registry_unavailable', 'gitlab_unavailable');
  const { plan, refusals } = await prepare(1, 2);
  expect(refusals).toEqual([]);
  expect(plan?.requests.map(({ id }) => id)).toEqual([1, 2]);
  expect(seen).toEqual([[], [], [], expect.arrayContaining(['request-1'])]);
});

test('a change that cannot be made leaves the others alone, and nothing of its own', async () => {
  const { prepare } = shop('catalog_invalid');
  const { plan, refusals } = await prepare(1, 2);
  expect(refusals).toMatchObject([{ requestId: 1, failure: { code: 'catalog_invalid' } }]);
  expect(plan?.head).not.toContain('request-1');
  expect(plan?.head).toContain('request-2');
});

test('a database that is away is no answer to the request', async () => {
  const { prepare } = shop('lease_lost');
  await expect(prepare(1)).rejects.toMatchObject({ code: 'lease_lost' });
});

test('works in the directory of its own process, and looks for what those of killed ones left', async () => {
  const { prepare, workDir } = shop();
  const [old, young] = [join(workDir, 'delivery-old'), join(workDir, 'delivery-young')];
  await mkdir(old);
  await mkdir(young);
  const longAgo = Date.now() / 1000 - 3 * 86_400;
  utimesSync(old, longAgo, longAgo);
  const { dispose } = await prepare(1);
  expect([existsSync(old), existsSync(young)]).toEqual([false, true]);
  await dispose();
  expect((await readdir(workDir)).sort()).toEqual(['delivery-young', basename(ownDirectory(workDir))]);
  expect(await readdir(ownDirectory(workDir))).toEqual(['lock']);
});

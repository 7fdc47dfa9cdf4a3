import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { breakPipeline } from '../../src/sandbox/break-pipeline.ts';
import { type RunningRegistry, startRegistry } from '../../src/sandbox/registry.ts';
import { type Gate, startGate, withoutMounting } from '../registry/gate.ts';
import { watchArgv } from './support/argv-watch.ts';
import { releaseToken } from './support/content.ts';
import { newOperator } from './support/proof.ts';
import { filesWithSecrets, formsOf, type Searched, type SecretSearch, secretSearch } from './support/secret-search.ts';
import {
  apiAnswers,
  carelessFiles,
  clusterContent,
  databaseRows,
  gitlabContent,
  ownTemporaryFolder,
  type TemporaryFolders,
  watchRequestLines,
} from './support/traces.ts';
import { type View, type World, world } from './support/world.ts';

// Nothing here is about time: the limits only end a test that hangs on a machine that is very busy.
vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

const WRONG_PASSWORD = 'Wrong+Password/of==the%team 7c1f';
const MALFORMED_TOKEN = 'a-token-without-a-colon-91b2e4';

let w: World;
let registry: RunningRegistry;
let gate: Gate;
let secrets: Record<string, string>;
let search: SecretSearch;
let argv: Awaited<ReturnType<typeof watchArgv>>;
let requestLines: ReturnType<typeof watchRequestLines>;
let temporary: TemporaryFolders;

beforeAll(async () => {
  requestLines = watchRequestLines();
  temporary = ownTemporaryFolder();
  w = await world();
  const { layout, parts, at } = w.sandbox;
  const { registryUsers, ports, secretKey, webhookToken } = layout.identity;
  await parts.registry.stop();
  const users = Object.entries(registryUsers).map(([user, password]) => ({ user, password }));
  registry = await startRegistry({ dir: layout.path('registry'), auth: { users } });
  gate = await startGate(registry.host, ports.registry);
  const file = (name: string) => readFileSync(layout.path('secrets', name), 'utf8').trim();
  secrets = {
    "the client's password": registryUsers.release,
    "the service's registry password": registryUsers.service,
    "the pipeline's registry password": registryUsers.pipeline,
    "the service's GitLab token": file('gitlab-token'),
    "the pipeline's GitLab token": file('pipelines-gitlab-token'),
    "the worker's Kubernetes token": file('kubernetes-token'),
    'the web hook token': webhookToken,
    'the database password': decodeURIComponent(new URL(at.databaseUrl).password),
    'the sealing key': secretKey,
    'a wrong password': WRONG_PASSWORD,
    'a malformed token': MALFORMED_TOKEN,
  };
  search = secretSearch(secrets);
  argv = await watchArgv(Object.values(secrets).flatMap(formsOf));
});
afterAll(async () => {
  requestLines?.stop();
  await gate?.close();
  await registry?.close();
  await w?.close();
  temporary?.close();
});

/** Where a secret was found that must not be there: `place: secrets`. */
const traces = new Set<string>();
function look(place: string, text: string): void {
  const found = search(text);
  if (found.length > 0) traces.add(`${place}: ${found.join(', ')}`);
}

/** Waits for the end of a request and looks everywhere meanwhile: at files all the time, at the rest in each new state. */
async function watched(request: View): Promise<View & { sealed: boolean }> {
  const { layout, at } = w.sandbox;
  const searched: Searched = new Map();
  const events = fetch(`${at.apiUrl}/api/v1/builds/${request.id}/events`).then((answer) => answer.text());
  for (let sealed = false, reason: string | undefined; ; ) {
    const folders = [layout.path('state'), ...temporary.now()];
    for (const file of carelessFiles(search, folders, searched)) traces.add(file);
    const view = await w.get(request.id);
    if (view.state_reason === reason) continue;
    reason = view.state_reason;
    const rows = await databaseRows(at.databaseUrl);
    for (const [table, texts] of rows) look(table, texts.join('\n'));
    sealed ||= rows.get('public.request_secrets')?.length !== 0;
    for (const [path, text] of await apiAnswers(w, request)) look(path, text);
    if (view.state === 'in_progress') continue;
    look('events', await events);
    return { ...view, sealed };
  }
}

describe('a secret', () => {
  test('is found in whatever way it is written', () => {
    const name = 'a wrong password';
    for (const prefix of ['', 'u:', 'xyz', 'oauth2:']) {
      const whole = `${prefix}${WRONG_PASSWORD}/and more`;
      const texts = [whole, encodeURIComponent(whole), JSON.stringify({ whole }), Buffer.from(whole).toString('hex')];
      for (const coding of ['base64', 'base64url'] as const) texts.push(Buffer.from(whole).toString(coding));
      for (const text of texts) expect(search(`${text}!`)).toEqual([name]);
    }
    expect(search(WRONG_PASSWORD.slice(1))).toEqual([]);
    expect(filesWithSecrets(search, [w.sandbox.layout.path('secrets')]).length).toBeGreaterThan(4);
  });

  test('leaves no trace in an overwrite that completes', async () => {
    const ended = await watched(await w.add({ bundles: [w.sandbox.seeded.newest.lighthouse] }));
    expect(ended).toMatchObject({ state: 'complete', sealed: true });
  });

  test('nor in one for which skopeo copies, because the registry does not mount', async () => {
    gate.guard = withoutMounting;
    const ended = await watched(await w.add({ bundles: [await newOperator(w, 'moved')] }));
    gate.guard = () => 'pass';
    expect(ended).toMatchObject({ state: 'complete', sealed: true });
  });

  test('nor when GitLab refuses the push', async () => {
    w.sandbox.parts.gitlab.now.faults.refusePush({ message: 'Commits are not welcome today' });
    const ended = await watched(await w.add({ bundles: [await newOperator(w, 'pushed')] }));
    expect(ended).toMatchObject({ state: 'failed', sealed: true });
    expect(ended.state_reason).toContain('not welcome today');
  });

  test('nor when the registry does not take the credentials', async () => {
    const { seeded, at } = w.sandbox;
    const token = `release:${WRONG_PASSWORD}`;
    const overwrite = { bundles: [seeded.newest.lighthouse], overwrite_from_index_token: token };
    expect(await watched(await w.add(overwrite))).toMatchObject({ state: 'failed' });
    const malformed = { ...overwrite, overwrite_from_index_token: MALFORMED_TOKEN };
    expect(await watched(await w.add(malformed))).toMatchObject({ state: 'failed' });
    const regenerate = {
      from_bundle_image: seeded.newest.lighthouse,
      registry_auths: { auths: { [at.registry]: { auth: Buffer.from(token).toString('base64') } } },
    };
    expect(await watched(await w.post('regenerate-bundle', regenerate))).toMatchObject({ state: 'failed' });
  });

  test('nor when what the client sends is not valid', async () => {
    const { seeded, at } = w.sandbox;
    const base = { from_index: seeded.fromIndex, bundles: [], overwrite_from_index: true };
    const bodies = [
      { ...base, overwrite_from_index_token: { token: MALFORMED_TOKEN } },
      { ...base, overwrite_from_index: false, overwrite_from_index_token: releaseToken(w) },
      { ...base, overwrite_from_index_token: releaseToken(w), distribution_scope: 7 },
      { ...base, overwrite_from_index_token: releaseToken(w), unknown: MALFORMED_TOKEN },
    ].map((body) => JSON.stringify(body));
    const broken = JSON.stringify({ ...base, overwrite_from_index_token: MALFORMED_TOKEN }).slice(0, -2);
    const send = async (body: string, headers: Record<string, string> = {}) => {
      const answer = await fetch(`${at.apiUrl}/api/v1/builds/add`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
      });
      look('an answer', await answer.text());
      return answer.status;
    };
    const statuses = await Promise.all([...bodies, broken].map((body) => send(body)));
    expect(statuses).toEqual([400, 400, 400, 400, 400]);
    expect(await send(bodies[0] ?? '', { authorization: `Bearer ${MALFORMED_TOKEN}` })).toBe(401);
  });

  test('nor when the pipeline fails', async () => {
    const { seeded } = w.sandbox;
    await breakPipeline({ catalogRepoUrl: seeded.catalogRepoUrl, branch: 'v4.19', token: seeded.gitlabToken });
    const ended = await watched(await w.add({ bundles: [seeded.newest['harbor-pilot']] }));
    expect(ended).toMatchObject({ state: 'failed', sealed: true });
    expect(ended.state_reason).toMatch(/pipeline/i);
  });

  test('is nowhere when all is over', async () => {
    const { layout, at } = w.sandbox;
    expect([...traces]).toEqual([]);

    const seen = await argv.stop();
    expect(seen.leaks).toEqual([]);
    // It has seen what it was to see.
    expect(seen.programs).toEqual(expect.arrayContaining(['git', 'skopeo', 'opm-v1.48.0', 'node']));

    const lines = [...requestLines.lines];
    for (const line of lines) look('a request line', line);
    for (const [host, part] of [
      [at.registry, '/v2/indexwright/iib-build/manifests/'],
      [new URL(at.gitlabUrl).host, '/merge_requests/'],
      [new URL(at.gitlabUrl).host, '.git/git-receive-pack'],
      [new URL(at.kubernetesUrl).host, '/pipelineruns'],
    ]) {
      expect(lines.filter((line) => line.includes(` ${host}/`) && line.includes(part ?? ''))).not.toEqual([]);
    }

    const rows = await databaseRows(at.databaseUrl);
    for (const [table, texts] of rows) look(table, texts.join('\n'));
    expect([...rows.keys()]).toEqual(expect.arrayContaining(['public.requests', 'graphile_worker._private_jobs']));
    expect(rows.get('public.request_secrets')).toEqual([]);

    for (const [path, text] of await gitlabContent(w)) look(`GitLab ${path}`, text);
    for (const [kind, text] of clusterContent(w)) look(`the cluster's ${kind}`, text);
    const folders = [
      ...['logs', 'request-logs', 'nested-bundles', 'state', 'tekton'].map((name) => layout.path(name)),
      layout.path('kubernetes', 'logs'),
      layout.path('registry', 'storage'),
      ...temporary.now(),
    ];
    // The server may run elsewhere than in the sandbox: its user must be able to go there.
    const [server] = await w.query('show data_directory', z.object({ data_directory: z.string() }));
    look('the log of Postgres', readFileSync(resolve(server?.data_directory ?? '', '../postgres.log'), 'utf8'));
    for (const { path, secrets } of filesWithSecrets(search, folders)) traces.add(`${path}: ${secrets}`);
    expect([...traces]).toEqual([]);
  });
});

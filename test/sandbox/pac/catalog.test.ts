import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { noCredentials } from '../../../src/registry/auth.ts';
import { createRegistryClient } from '../../../src/registry/client.ts';
import { makeBinaryImage } from '../../../src/sandbox/binary-image.ts';
import { type GitLab, startGitLab } from '../../../src/sandbox/gitlab/server.ts';
import { type KubeObject, RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { type Kubernetes, startKubernetes } from '../../../src/sandbox/kubernetes/server.ts';
import { type PipelinesAsCode, startPipelinesAsCode } from '../../../src/sandbox/pac/server.ts';
import { type RunningRegistry, startRegistry } from '../../../src/sandbox/registry.ts';
import { isDone, succeeded } from '../../../src/sandbox/tekton/conditions.ts';
import { startTekton, type Tekton } from '../../../src/sandbox/tekton/controller.ts';
import { RunStatus } from '../../../src/sandbox/tekton/schema.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const TOOLS = join(ROOT, '.tools/bin');

let dir: string;
let registry: RunningRegistry;
let gitlab: GitLab;
let kubernetes: Kubernetes;
let tekton: Tekton;
let pac: PipelinesAsCode;
let bot: { token: string };

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'catalog-'));
  [registry, gitlab, kubernetes] = await Promise.all([
    startRegistry({ dir: join(dir, 'registry') }),
    startGitLab({ dir: join(dir, 'gitlab') }),
    startKubernetes({ dir: join(dir, 'kubernetes') }),
  ]);
  const { store, logs } = kubernetes;
  tekton = await startTekton({ store, logs, dir: join(dir, 'tekton'), env: { INDEXWRIGHT_OPM_DIR: TOOLS } });
  pac = await startPipelinesAsCode({ store });
  const client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
  await makeBinaryImage({
    client,
    ref: `${registry.host}/base/opm:v4.19`,
    arches: ['amd64', 's390x'],
    opmPath: join(TOOLS, 'opm-v1.48.0'),
    labels: {},
  });
  bot = gitlab.createUser({ username: 'bot' });
  const project = await gitlab.seedProject({
    path: 'catalogs/stage/v4.19',
    branch: 'v4.19',
    members: { bot: 40 },
    files: {
      '.tekton/pipelinerun.yaml': await readFile(join(ROOT, 'tekton/catalog/pipelinerun.yaml'), 'utf8'),
      Dockerfile:
        'ARG BINARY_IMAGE\nFROM $BINARY_IMAGE\nENTRYPOINT ["/bin/opm"]\nCMD ["serve", "/configs", "--cache-dir=/tmp/cache"]\nCOPY configs /configs\nCOPY --chown=1001:0 cache /tmp/cache\nLABEL operators.operatorframework.io.index.configs.v1=/configs\n',
      'configs/.gitkeep': '',
    },
  });
  gitlab.addHook(project.path, { url: pac.url, token: 'hook-secret' });
  store.create(RESOURCES.namespaces, { metadata: { name: 'tenant' } });
  const secret = (name: string, stringData: Record<string, string>) =>
    store.create(RESOURCES.secrets, { metadata: { name, namespace: 'tenant' }, stringData });
  secret('gitlab', { token: bot.token, webhook: 'hook-secret' });
  secret('registry-push', { 'config.json': '{"auths":{}}' });
  store.create(RESOURCES.repositories, {
    metadata: { name: 'v4-19', namespace: 'tenant' },
    spec: {
      url: `${gitlab.url}/catalogs/stage/v4.19`,
      git_provider: {
        type: 'gitlab',
        url: gitlab.url,
        secret: { name: 'gitlab', key: 'token' },
        webhook_secret: { name: 'gitlab', key: 'webhook' },
      },
      params: [
        { name: 'output_image_repo', value: `${registry.host}/builds/catalog` },
        { name: 'registry_secret', value: 'registry-push' },
        { name: 'builder_image', value: 'localhost/indexwright:latest' },
        { name: 'insecure_registries', value: registry.host },
      ],
    },
  });
});

afterAll(async () => {
  await pac.close();
  await tekton.close();
  await Promise.all([kubernetes.close(), gitlab.close(), registry.close()]);
  await rm(dir, { recursive: true, force: true });
});

async function api(method: string, path: string, body?: unknown) {
  const answer = await fetch(`${gitlab.url}/api/v4/projects/catalogs%2Fstage%2Fv4.19${path}`, {
    method,
    headers: { 'private-token': bot.token, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.json() as Promise<Record<string, unknown>>;
}

/** Commits to a new branch and opens a merge request, as the service does; gives the run when all is over. */
async function propose(branch: string, metadata: Record<string, unknown>): Promise<{ sha: string; run: KubeObject }> {
  const catalog =
    '{"schema":"olm.package","name":"etcd","defaultChannel":"alpha"}\n{"schema":"olm.channel","package":"etcd","name":"alpha","entries":[{"name":"etcd.v1.0.0"}]}\n{"schema":"olm.bundle","package":"etcd","name":"etcd.v1.0.0","image":"quay.io/x/etcd@sha256:aa","properties":[{"type":"olm.package","value":{"packageName":"etcd","version":"1.0.0"}}]}\n';
  const commit = await api('POST', '/repository/commits', {
    branch,
    start_branch: 'v4.19',
    commit_message: 'Add etcd',
    actions: [
      { action: 'create', file_path: 'configs/etcd/catalog.json', content: catalog },
      { action: 'create', file_path: '.iib-build-metadata.json', content: JSON.stringify(metadata) },
    ],
  });
  const sha = String(commit.id);
  const over = new Promise<KubeObject>((done) => {
    const end = kubernetes.store.subscribe(({ object, resource }) => {
      const { labels = {} } = object.metadata;
      if (resource !== RESOURCES.pipelineruns || labels['pipelinesascode.tekton.dev/sha'] !== sha) return;
      if (!isDone(object) || labels['pipelinesascode.tekton.dev/state'] !== 'completed') return;
      end();
      done(object);
    });
  });
  await api('POST', '/merge_requests', { source_branch: branch, target_branch: 'v4.19', title: 'Add etcd' });
  return { sha, run: await over };
}

const METADATA = { opm_version: 'opm-v1.48.0', arches: ['amd64', 's390x'], labels: { made: 'here' } };

test('the pipeline of tekton/ builds the catalog of a merge request and says so on the commit', async () => {
  const { sha, run } = await propose('iib-1', { ...METADATA, binary_image: `${registry.host}/base/opm:v4.19` });
  expect(succeeded(run)).toMatchObject({
    status: 'True',
    message: 'Tasks Completed: 2 (Failed: 0, Cancelled 0), Skipped: 0',
  });
  const results = Object.fromEntries(
    (RunStatus.parse(run.status).results ?? []).map(({ name, value }) => [name, value]),
  );
  expect(results).toEqual({
    IMAGE_URL: `${registry.host}/builds/catalog:on-pr-${sha}`,
    IMAGE_DIGEST: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    'CHAINS-GIT_URL': `${gitlab.url}/catalogs/stage/v4.19`,
    'CHAINS-GIT_COMMIT': sha,
  });
  for (const tag of [`on-pr-${sha}`, sha]) {
    const head = await fetch(`http://${registry.host}/v2/builds/catalog/manifests/${tag}`, {
      method: 'HEAD',
      headers: { accept: 'application/vnd.docker.distribution.manifest.list.v2+json' },
    });
    expect(head.headers.get('docker-content-digest')).toBe(results.IMAGE_DIGEST);
  }
  const statuses = await api('GET', `/repository/commits/${sha}/statuses`);
  expect(statuses).toMatchObject([{ name: 'Pipelines as Code CI / indexwright-catalog', status: 'success' }]);
});

test('a build that cannot be made fails, with the reason in the log of its step', async () => {
  const { run } = await propose('iib-2', { ...METADATA, opm_version: 'v0.0.1' });
  expect(succeeded(run)).toMatchObject({ status: 'False', reason: 'Failed' });
  const pod = kubernetes.store.get(RESOURCES.pods, { namespace: 'tenant', name: `${run.metadata.name}-build-pod` });
  expect(kubernetes.logs.read(pod.metadata.uid, 'step-build')?.toString()).toMatch(/opm/);
});

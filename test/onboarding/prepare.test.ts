import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { z } from 'zod';
import { CATALOG, parseContainerfile } from '../../src/builder/containerfile.ts';
import { applyTo } from '../../src/onboarding/apply.ts';
import { pushBranchContent } from '../../src/onboarding/branch.ts';
import { fillBranch } from '../../src/onboarding/content.ts';
import { loadPreparation, type Preparation } from '../../src/onboarding/preparation.ts';
import { clusterClient, gitlabClient, prepareRepository } from '../../src/onboarding/prepare.ts';
import { Anything, orNull, type Rest } from '../../src/onboarding/rest.ts';
import { type GitLab, startGitLab } from '../../src/sandbox/gitlab/server.ts';
import { type Kubernetes, startKubernetes } from '../../src/sandbox/kubernetes/server.ts';
import { ROOT } from '../manifests/files.ts';

const PROJECT = 'team/catalogs/example-index';
const HOOK_SECRET = 'a-secret-of-hooks-0123456789';
const REGISTRY = '{"auths":{"registry.example.com":{"auth":"cGlwZWxpbmU6cGFzc3dvcmQtb2YtcGlwZWxpbmVz"}}}';

/** What was pushed is read by REST right after. */
const AT_ONCE = { from: 0, to: 0, seed: 1 };

let dir: string;
let gitlab: GitLab;
let kubernetes: Kubernetes;
let api: Rest;
let cluster: Rest;
let wanted: Preparation;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-prepare-'));
  [gitlab, kubernetes] = await Promise.all([
    startGitLab({ dir: join(dir, 'gitlab'), pushDelay: AT_ONCE }),
    startKubernetes({ dir: join(dir, 'kubernetes') }),
  ]);
  const secret = (name: string, text: string) => {
    writeFileSync(join(dir, name), `${text}\n`, { mode: 0o600 });
    return name;
  };
  gitlab.createUser({ username: 'indexwright' });
  const pipelines = gitlab.createUser({ username: 'pipelines-as-code' });
  const file = {
    kind: 'catalog',
    branches: ['v4.19', 'v4.20'],
    gitlab: {
      url: gitlab.url,
      tokenFile: secret('gitlab-token', gitlab.adminToken),
      project: PROJECT,
      members: ['indexwright', 'pipelines-as-code'],
    },
    cluster: {
      url: kubernetes.url,
      tokenFile: secret('cluster-token', kubernetes.access.admin),
      caFile: kubernetes.caFile,
      namespace: 'tenant',
    },
    pipeline: {
      variant: 'tekton',
      hookUrl: 'http://127.0.0.1:9/hook',
      hookSecretFile: secret('hook', HOOK_SECRET),
      gitlabTokenFile: secret('pipelines-token', pipelines.token),
      registryConfigFile: secret('registry.json', REGISTRY),
    },
    build: { output: 'registry.example.com/builds/example', image: 'registry.example.com/indexwright@sha256:0' },
  };
  writeFileSync(join(dir, 'prepare.yaml'), stringify(file));
  wanted = loadPreparation(join(dir, 'prepare.yaml'));
  api = gitlabClient(gitlab.url, gitlab.adminToken);
  cluster = clusterClient(wanted.cluster);
});
afterEach(async () => {
  await Promise.all([gitlab.close(), kubernetes.close()]);
  rmSync(dir, { recursive: true, force: true });
});

const project = `/projects/${encodeURIComponent(PROJECT)}`;
const Hooks = z.array(
  z.object({
    url: z.string(),
    push_events: z.boolean(),
    merge_requests_events: z.boolean(),
    note_events: z.boolean(),
    tag_push_events: z.boolean(),
  }),
);
const Entries = z.array(z.object({ path: z.string(), type: z.string() }));
const Branch = z.object({ commit: z.object({ id: z.string() }) });
const tip = async (branch: string) => (await api('GET', `${project}/repository/branches/${branch}`, Branch)).commit.id;
const repositories = '/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/tenant/repositories';

test('the command makes a repository and its namespace from nothing, and shows no secret', async () => {
  const command = promisify(execFile)(join(ROOT, 'bin/indexwright'), [
    'catalog',
    'prepare',
    '--file',
    join(dir, 'prepare.yaml'),
  ]);
  const { stdout, stderr } = await command;
  expect(stdout).toBe(`${gitlab.url}/${PROJECT}\n`);
  for (const secret of [gitlab.adminToken, kubernetes.access.admin, HOOK_SECRET, 'cGlwZWxpbmU6'])
    expect(stderr).not.toContain(secret);

  const members = await api('GET', `${project}/members`, z.array(z.object({ username: z.string() })));
  expect(members.map(({ username }) => username)).toEqual(expect.arrayContaining(['indexwright', 'pipelines-as-code']));
  expect(await api('GET', `${project}/hooks`, Hooks)).toEqual([
    {
      url: 'http://127.0.0.1:9/hook',
      push_events: true,
      merge_requests_events: true,
      note_events: true,
      tag_push_events: true,
    },
  ]);
  for (const branch of ['v4.19', 'v4.20']) {
    const entries = await api('GET', `${project}/repository/tree?ref=${branch}&recursive=true`, Entries);
    expect(
      entries
        .filter(({ type }) => type === 'blob')
        .map(({ path }) => path)
        .sort(),
    ).toEqual(['.tekton/pipelinerun.yaml', 'Dockerfile', 'configs/.gitkeep']);
  }

  const Repository = z.looseObject({
    spec: z.looseObject({
      url: z.string(),
      git_provider: z.looseObject({ url: z.string() }),
      params: z.array(z.object({ name: z.string(), value: z.string() })),
    }),
  });
  const { spec } = await cluster('GET', `${repositories}/team-catalogs-example-index`, Repository);
  expect(spec.url).toBe(`${gitlab.url}/${PROJECT}`);
  expect(spec.git_provider.url).toBe(gitlab.url);
  expect(Object.fromEntries(spec.params.map(({ name, value }) => [name, value]))).toEqual({
    output_image_repo: 'registry.example.com/builds/example',
    builder_image: 'registry.example.com/indexwright@sha256:0',
    insecure_registries: 'none',
    registry_secret: 'registry-push',
  });
  const Secret = z.looseObject({ data: z.record(z.string(), z.base64()) });
  const { data } = await cluster('GET', '/api/v1/namespaces/tenant/secrets/gitlab', Secret);
  expect(Buffer.from(data.webhook ?? '', 'base64').toString()).toBe(HOOK_SECRET);
  const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/tenant';
  expect(await cluster('GET', `${roles}/rolebindings/indexwright-worker`, Anything)).toMatchObject({
    subjects: [{ kind: 'ServiceAccount', namespace: 'indexwright', name: 'indexwright-worker' }],
  });
  expect(
    kubernetes.access.allows(
      'system:serviceaccount:indexwright:indexwright-worker',
      'patch',
      'tekton.dev',
      'pipelineruns',
      'tenant',
    ),
  ).toBe(true);
});

test('repeated, it changes only what has changed', async () => {
  await prepareRepository(wanted, () => {});
  const before = await tip('v4.19');
  await prepareRepository(wanted, () => {});
  expect(await tip('v4.19')).toBe(before);
  expect(await api('GET', `${project}/hooks`, Hooks)).toHaveLength(1);

  const theirs = { Dockerfile: 'FROM scratch\nCOPY configs /configs\n', '.tekton/policy.yaml': 'kind: Theirs\n' };
  await pushBranchContent(`${gitlab.url}/${PROJECT}`, {
    branch: 'v4.19',
    token: gitlab.adminToken,
    message: 'ours',
    fill: async (checkout) => {
      for (const [path, text] of Object.entries({ ...theirs, '.tekton/pipelinerun.yaml': 'old: true\n' }))
        writeFileSync(join(checkout, path), text);
    },
  });
  await prepareRepository(wanted, () => {});
  const raw = async (path: string) => {
    const url = `${gitlab.url}/api/v4${project}/repository/files/${encodeURIComponent(path)}/raw?ref=v4.19`;
    return (await fetch(url, { headers: { 'private-token': gitlab.adminToken } })).text();
  };
  for (const [path, text] of Object.entries(theirs)) expect(await raw(path)).toBe(text);
  expect(await raw('.tekton/pipelinerun.yaml')).toContain('name: indexwright-catalog');
});

test('where changes are committed directly, pushes of the service start the pipeline', async () => {
  await prepareRepository({ ...wanted, proposal: 'direct-commit' }, () => {});
  const definition = async () => {
    const path = encodeURIComponent('.tekton/pipelinerun.yaml');
    const url = `${gitlab.url}/api/v4${project}/repository/files/${path}/raw?ref=v4.19`;
    return (await fetch(url, { headers: { 'private-token': gitlab.adminToken } })).text();
  };
  expect(await definition()).toContain('event == "push"');
  await prepareRepository(wanted, () => {});
  expect(await definition()).toContain('on-event: "[pull_request]"');
});

test('for Konflux it completes what Konflux has made, and makes no hook, secret or account', async () => {
  const url = `${gitlab.url}/${PROJECT}`;
  const apply = applyTo(cluster, 'konflux');
  await apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'tenant' } });
  await apply({
    apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
    kind: 'Repository',
    metadata: { name: 'example', namespace: 'tenant' },
    spec: { url, git_provider: { type: 'gitlab', url: gitlab.url } },
  });
  const pipeline = { variant: 'konflux', application: 'app', component: 'example' } as const;
  await prepareRepository({ ...wanted, pipeline }, () => {});
  const { spec } = await cluster('GET', `${repositories}/example`, z.looseObject({ spec: z.unknown() }));
  expect(spec).toMatchObject({
    url,
    params: expect.arrayContaining([
      { name: 'konflux_component', value: 'example' },
      { name: 'konflux_application', value: 'app' },
    ]),
  });
  expect(await api('GET', `${project}/hooks`, Hooks)).toEqual([]);
  expect(await orNull(cluster('GET', '/api/v1/namespaces/tenant/secrets/gitlab', Anything))).toBeNull();
  expect(
    await orNull(cluster('GET', '/api/v1/namespaces/tenant/serviceaccounts/indexwright-build', Anything)),
  ).toBeNull();
});

const SETTINGS = {
  merge_method: 'ff',
  squash_option: 'default_on',
  only_allow_merge_if_pipeline_succeeds: false,
  only_allow_merge_if_all_discussions_are_resolved: false,
};
const Settings = z.looseObject({ merge_method: z.string(), squash_option: z.string() });

test('settings of the project that are not as recommended are warned of, and set only where asked', async () => {
  const prepared = async (settings?: 'set') => {
    const lines: string[] = [];
    await prepareRepository(wanted, (line) => lines.push(line), settings);
    return lines.filter((line) => /the project's/.test(line));
  };
  await prepareRepository(wanted, () => {});
  const theirs = {
    merge_method: 'rebase_merge',
    squash_option: 'never',
    only_allow_merge_if_pipeline_succeeds: true,
    only_allow_merge_if_all_discussions_are_resolved: true,
  };
  await api('PUT', project, Anything, theirs);
  const warnings = await prepared();
  expect(
    warnings.map((line) => /^warning: the project's (\w+) is \w+, recommended is \w+: otherwise \w+/.exec(line)?.[1]),
  ).toEqual(Object.keys(theirs));
  expect(await api('GET', project, Settings)).toMatchObject(theirs);

  expect(await prepared('set')).toEqual([
    "the project's merge_method is ff now, it was rebase_merge",
    "the project's squash_option is default_on now, it was never",
    "the project's only_allow_merge_if_pipeline_succeeds is false now, it was true",
    "the project's only_allow_merge_if_all_discussions_are_resolved is false now, it was true",
  ]);
  expect(await api('GET', project, Settings)).toMatchObject(SETTINGS);
  expect(await prepared('set')).toEqual([]);

  // As good as what is recommended: neither a warning nor a change.
  await api('PUT', project, Anything, { squash_option: 'always' });
  expect(await prepared('set')).toEqual([]);
  expect(await api('GET', project, Settings)).toMatchObject({ ...SETTINGS, squash_option: 'always' });
});

test('where changes are committed directly, no setting of merge requests is looked at', async () => {
  const lines: string[] = [];
  await prepareRepository({ ...wanted, proposal: 'direct-commit' }, (line) => lines.push(line), 'set');
  expect(lines.filter((line) => /the project's/.test(line))).toEqual([]);
  expect(await api('GET', project, Settings)).toMatchObject({ merge_method: 'merge' });
});

test('the command sets them with --set-project-settings', async () => {
  const args = ['catalog', 'prepare', '--set-project-settings', '--file', join(dir, 'prepare.yaml')];
  const { stderr } = await promisify(execFile)(join(ROOT, 'bin/indexwright'), args);
  expect(stderr).toContain("the project's merge_method is ff now, it was merge\n");
  expect(await api('GET', project, Settings)).toMatchObject({ merge_method: 'ff' });
});

test('what is refused is said in words that name it and show no secret', async () => {
  const nobody = { ...wanted, gitlab: { ...wanted.gitlab, members: ['nobody-of-this-name'] } };
  await expect(prepareRepository(nobody, () => {})).rejects.toMatchObject({
    code: 'gitlab_refused',
    message: 'GitLab has no user nobody-of-this-name',
  });
  writeFileSync(join(dir, 'wrong'), 'glpat-not-a-token-of-anybody\n');
  const stranger = { ...wanted, gitlab: { ...wanted.gitlab, tokenFile: join(dir, 'wrong') } };
  await expect(prepareRepository(stranger, () => {})).rejects.toMatchObject({
    code: 'gitlab_refused',
    message: expect.stringContaining('was answered 401'),
  });
  const outsider = { ...wanted, cluster: { ...wanted.cluster, tokenFile: join(dir, 'wrong') } };
  await expect(prepareRepository(outsider, () => {})).rejects.toMatchObject({ code: 'kubernetes_denied' });
  writeFileSync(join(dir, 'prepare.yaml'), stringify({ ...wanted, branches: [] }));
  expect(() => loadPreparation(join(dir, 'prepare.yaml'))).toThrow(/branches/);
});

test('the Dockerfile it writes is one the build understands', async () => {
  const checkout = join(dir, 'checkout');
  mkdirSync(checkout);
  await fillBranch(checkout, { kind: 'catalog', variant: 'tekton', proposal: 'merge-request' });
  const file = parseContainerfile(
    readFileSync(join(checkout, 'Dockerfile'), 'utf8'),
    { BINARY_IMAGE: 'registry.example.com/base:v4.19' },
    CATALOG,
  );
  expect(file).toMatchObject({ base: 'registry.example.com/base:v4.19', entrypoint: ['/bin/opm'] });
  expect(file.copies.map(({ source }) => source)).toEqual(['configs', 'cache']);
});

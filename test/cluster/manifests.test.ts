import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import { applyTo } from '../../src/onboarding/apply.ts';
import { tenantObjects, workerPolicy } from '../../src/onboarding/tenant.ts';
import { type Cluster, createCluster } from '../../src/pipeline/cluster.ts';
import type { Run } from '../../src/pipeline/model.ts';
import type { RealParts } from '../../src/sandbox/cluster/parts.ts';
import { clusterTools } from '../../src/sandbox/cluster/programs.ts';
import { Anything, type Rest, restClient } from '../../src/sandbox/rest.ts';
import { NAMESPACE, serviceCluster } from '../../src/sandbox/service-files.ts';
import { clusterAccess, clusterAdmin, SERVICE_ACCOUNT } from '../../src/sandbox/tenant.ts';
import type { Log } from '../../src/telemetry/log.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { realWorld, type World } from '../e2e/support/world.ts';
import { ROOT, workloads, yamlFiles } from '../manifests/files.ts';
import { RUNS } from './support/runs.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 600_000 });

const Manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
type Manifest = z.infer<typeof Manifest>;

let w: World<RealParts>;
let cluster: Rest;
/** As the worker: with its ServiceAccount's token and nothing else. */
let asWorker: Rest;
beforeAll(async () => {
  w = await realWorld({ workers: 0 });
  const { server, ca } = clusterAccess(w.sandbox.layout);
  cluster = clusterAdmin(w.sandbox.layout);
  const { token } = await workerToken();
  asWorker = restClient(server, { authorization: `Bearer ${token}` }, { ca });
});
afterAll(() => w?.close());

async function workerToken(): Promise<{ token: string }> {
  const TokenRequest = z.object({ status: z.object({ token: z.string() }) });
  const path = `/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${SERVICE_ACCOUNT}/token`;
  const asked = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  return (await cluster('POST', path, TokenRequest, asked)).status;
}

/** What `kubectl apply -k` would send. */
function rendered(folder: string): Manifest[] {
  const program = join(clusterTools().kubernetes, 'testcluster');
  const text = execFileSync(program, ['kubectl', 'kustomize', join(ROOT, folder)], { encoding: 'utf8' });
  return parseAllDocuments(text).map((document) => Manifest.parse(document.toJS()));
}

/** The definitions with their variables set, as Pipelines-as-Code sets them. */
function definitions(): { path: string; object: Manifest }[] {
  return yamlFiles('tekton').map(({ path, documents: [document] }) => {
    const text = JSON.stringify(document).replaceAll(/\{\{ \w+ \}\}/g, 'value');
    const object = Manifest.parse(JSON.parse(text));
    return { path, object: { ...object, metadata: { ...object.metadata, namespace: NAMESPACE } } };
  });
}

describe('the API server and the webhooks of Tekton and Pipelines-as-Code', () => {
  test.each(['manifests/overlays/kubernetes', 'manifests/overlays/openshift', 'manifests/tenant'])(
    'accept %s',
    async (folder) => {
      const apply = applyTo(cluster, 'manifests-test');
      const objects = rendered(folder);
      expect(objects.length).toBeGreaterThan(3);
      for (const object of objects.filter(({ kind }) => kind === 'Namespace')) await apply(object);
      // Kubernetes has no Routes; everything else it must take.
      for (const object of objects.filter(({ kind }) => kind !== 'Route')) {
        await expect(
          apply(object, { dryRun: true }),
          `${object.kind} ${object.metadata.name}`,
        ).resolves.toBeUndefined();
      }
    },
  );

  test('accept every definition of tekton/, and refuse one that is broken', async () => {
    const apply = applyTo(cluster, 'manifests-test');
    for (const { path, object } of definitions())
      await expect(apply(object, { dryRun: true }), path).resolves.toBeUndefined();
    for (const { path, object } of definitions()) {
      const broken = JSON.parse(JSON.stringify(object).replace('$(params.output-image)', '$(params.nowhere)'));
      await expect(apply(broken, { dryRun: true }), path).rejects.toThrow(/admission webhook/);
    }
  });

  test('take the pods of all workloads under the pod security standard "restricted"', async () => {
    const apply = applyTo(cluster, 'manifests-test');
    const objects = rendered('manifests/overlays/kubernetes');
    const first = objects.filter(({ kind }) => kind === 'Namespace' || kind === 'ServiceAccount');
    for (const object of first) await apply(object);
    const podOf = (name: string, spec: object) => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'indexwright' },
      spec,
    });
    for (const [name, { spec }] of Object.entries(workloads())) {
      const pod = spec.template.spec;
      await expect(apply(podOf(name, pod), { dryRun: true }), name).resolves.toBeUndefined();
      const lax = podOf(name, { ...pod, securityContext: {} });
      await expect(apply(lax, { dryRun: true }), name).rejects.toThrow(/violates PodSecurity .*restricted/);
    }
  });
});

const ROLE = `/apis/rbac.authorization.k8s.io/v1/namespaces/${NAMESPACE}/roles/${SERVICE_ACCOUNT}`;
type Right = { verb: string; group: string; resource: string; subresource: string };

const rights: Right[] = workerPolicy().flatMap(({ apiGroups: [group = ''], resources, verbs }) =>
  resources.flatMap((path) => {
    const [resource = '', subresource = ''] = path.split('/');
    return verbs.map((verb) => ({ verb, group, resource, subresource }));
  }),
);

async function isAllowed({ verb, group, resource, subresource }: Right): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SelfSubjectAccessReview',
    spec: { resourceAttributes: { namespace: NAMESPACE, verb, group, resource, subresource } },
  };
  const Answer = z.object({ status: z.object({ allowed: z.boolean() }) });
  const path = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';
  return (await asWorker('POST', path, Answer, review)).status.allowed;
}

/** Gives the worker what its Role of manifests/tenant says, without one verb; waits until the server acts on it. */
async function giveAllBut(taken?: Right): Promise<void> {
  const rules = workerPolicy().map(({ apiGroups, resources, verbs }) => {
    const same =
      taken !== undefined && resources.includes([taken.resource, taken.subresource].filter(Boolean).join('/'));
    return { apiGroups, resources, verbs: same ? verbs.filter((verb) => verb !== taken.verb) : verbs };
  });
  const role = tenantObjects(NAMESPACE, { namespace: NAMESPACE, name: SERVICE_ACCOUNT }).find((o) => o.kind === 'Role');
  // A rule without verbs is refused.
  await cluster('PUT', ROLE, Anything, { ...role, rules: rules.filter(({ verbs }) => verbs.length > 0) });
  const wanted = rights.map((right) => right !== taken && JSON.stringify(right) !== JSON.stringify(taken));
  await expect.poll(() => Promise.all(rights.map(isAllowed)), { timeout: 60_000, interval: 50 }).toEqual(wanted);
}

describe('the worker, with the token of its ServiceAccount', () => {
  let follower: { cluster: Cluster; warnings: string[] };
  beforeEach(async () => {
    await giveAllBut();
    follower = follow();
    return () => follower.cluster.close();
  });

  /** What the worker follows pipelines with; only the watch brings it news. */
  function follow() {
    const warnings: string[] = [];
    const log: Log = createLog('silent', 'test');
    log.warn = ((detail: { err?: Error }) => warnings.push(String(detail.err?.cause ?? detail.err))) as Log['warn'];
    return { cluster: createCluster(serviceCluster(w.sandbox.at), { call: 20_000, poll: 600_000, log }), warnings };
  }

  test('may do what its Role says and nothing else, anywhere', async () => {
    const Rules = z.object({
      status: z.object({
        resourceRules: z.array(
          z.object({ verbs: z.array(z.string()), apiGroups: z.array(z.string()), resources: z.array(z.string()) }),
        ),
      }),
    });
    const rulesIn = async (namespace: string) => {
      const asked = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectRulesReview', spec: { namespace } };
      const { status } = await asWorker('POST', '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews', Rules, asked);
      // Everybody who is known may ask what they may do.
      return status.resourceRules.filter(({ resources }) => !resources.every((name) => name.startsWith('self')));
    };
    expect(await rulesIn(NAMESPACE)).toEqual(expect.arrayContaining(workerPolicy()));
    expect(await rulesIn(NAMESPACE)).toHaveLength(workerPolicy().length);
    expect(await rulesIn('default')).toEqual([]);
    expect(await rulesIn('kube-system')).toEqual([]);
  });

  test('without `list pipelineruns` finds no run', async () => {
    const run = await started('exit 0');
    await giveAllBut(right('list', 'pipelineruns'));
    const find = { sha: run.sha, appears: 60_000, signal: AbortSignal.timeout(120_000) };
    await expect(follower.cluster.findRun(find)).rejects.toMatchObject({
      code: 'kubernetes_denied',
      message: expect.stringContaining('may not list pipelineruns'),
    });
    await giveAllBut();
    expect(await follower.cluster.findRun(find)).toMatchObject({ name: run.name });
  });

  test('without `get pipelineruns` cannot tell how a run ended', async () => {
    const run = await started('exit 1');
    await giveAllBut(right('get', 'pipelineruns'));
    await expect(follower.cluster.waitForEnd(run, limits())).rejects.toMatchObject({
      code: 'kubernetes_denied',
      message: expect.stringContaining('may not get pipelineruns'),
    });
    await giveAllBut();
    await expect(follower.cluster.waitForEnd(run, limits())).rejects.toMatchObject({ code: 'pipeline_failed' });
  });

  test('without `watch pipelineruns` hears nothing of an end', async () => {
    await giveAllBut(right('watch', 'pipelineruns'));
    const [deaf, deafened] = [await started('sleep 600'), new AbortController()];
    const waiting = follower.cluster.waitForEnd(deaf, { ...limits(), signal: deafened.signal });
    const outcome = waiting.then(
      () => 'heard',
      () => 'not heard',
    );
    await expect.poll(() => follower.warnings.join(), { timeout: 60_000 }).toContain('may not watch pipelineruns');
    await cancelled(deaf);
    deafened.abort(new Error('enough'));
    expect(await outcome).toBe('not heard');

    await giveAllBut();
    const hearing = follow();
    const heard = await started('sleep 600');
    const ended = hearing.cluster.waitForEnd(heard, limits()).catch((thrown: { code?: string }) => thrown.code);
    await cancelled(heard);
    // Its poll comes after ten minutes: this is the watch's news.
    expect(await ended).toBe('pipeline_failed');
    await hearing.cluster.close();
  });

  test('without `patch pipelineruns` cancels nothing', async () => {
    const run = await started('sleep 600');
    await giveAllBut(right('patch', 'pipelineruns'));
    await expect(follower.cluster.cancelRun(run)).rejects.toMatchObject({
      code: 'kubernetes_denied',
      message: expect.stringContaining('may not patch pipelineruns'),
    });
    await giveAllBut();
    await follower.cluster.cancelRun(run);
    await expect(follower.cluster.waitForEnd(run, limits())).rejects.toMatchObject({ code: 'pipeline_failed' });
  });

  test.each([
    ['list', 'taskruns', ''],
    ['get', 'pods', 'log'],
  ])('without `%s %s/%s` has no words of the failed step', async (verb, resource, part) => {
    const run = await started('echo the reason of it >&2; exit 3');
    await expect(follower.cluster.waitForEnd(run, limits())).rejects.toMatchObject({ code: 'pipeline_failed' });
    expect(await follower.cluster.failureExcerpt(run)).toContain('the reason of it');
    await giveAllBut(right(verb, resource, part));
    expect(await follower.cluster.failureExcerpt(run)).toBeNull();
  });
});

const limits = () => ({ starts: 240_000, ends: 240_000, signal: AbortSignal.timeout(280_000) });

function right(verb: string, resource: string, subresource = ''): Right {
  const found = rights.find((one) => one.verb === verb && one.resource === resource && one.subresource === subresource);
  if (found === undefined) throw new Error(`the Role does not give ${verb} on ${resource}`);
  return found;
}

let count = 0;
/** A run of one step, as Pipelines-as-Code would label it. */
async function started(script: string): Promise<Run> {
  count += 1;
  const sha = count.toString(16).padStart(40, '0');
  const Made = z.object({ metadata: z.object({ name: z.string(), uid: z.string() }) });
  const { metadata } = await cluster('POST', RUNS, Made, {
    apiVersion: 'tekton.dev/v1',
    kind: 'PipelineRun',
    metadata: { generateName: 'verbs-', namespace: NAMESPACE, labels: { 'pipelinesascode.tekton.dev/sha': sha } },
    spec: {
      pipelineSpec: {
        tasks: [
          {
            name: 'one',
            taskSpec: {
              steps: [{ name: 'one', image: 'localhost/indexwright:latest', script: `#!/bin/sh\n${script}\n` }],
            },
          },
        ],
      },
    },
  });
  return { ...metadata, sha, template: null };
}

/** Cancels a run as its administrator. */
async function cancelled({ name }: Run): Promise<void> {
  const body = { spec: { status: 'Cancelled' } };
  await cluster('PATCH', `${RUNS}/${name}`, Anything, body, 'application/merge-patch+json');
  const Ended = z.object({ status: z.object({ completionTime: z.string() }) });
  const look = () =>
    cluster('GET', `${RUNS}/${name}`, Ended).then(
      () => 'ended',
      () => 'going',
    );
  await expect.poll(look, { timeout: 120_000, interval: 50 }).toBe('ended');
}

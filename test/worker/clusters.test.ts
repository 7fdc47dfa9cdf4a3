import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { RESOURCES } from '../../src/sandbox/kubernetes/object.ts';
import { startKubernetes } from '../../src/sandbox/kubernetes/server.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { openClusters } from '../../src/worker/clusters.ts';

const sha = 'e'.repeat(40);
const { signal } = new AbortController();
const log = createLog('silent', 'test');

/** An API server with one run of the same commit in each of two namespaces, as the service's configuration names it. */
async function clusterOf(dir: string, name: string) {
  const server = await startKubernetes({ dir: join(dir, name) });
  onTestFinished(() => server.close());
  for (const namespace of ['catalogs', 'other']) {
    server.store.create(RESOURCES.namespaces, { metadata: { name: namespace } });
    server.store.create(RESOURCES.pipelineruns, {
      metadata: { name: `${name}-${namespace}`, namespace, labels: { 'pipelinesascode.tekton.dev/sha': sha } },
      spec: {},
    });
  }
  const tokenFile = join(dir, `${name}-token`);
  writeFileSync(tokenFile, server.access.admin);
  return { name, url: server.url, namespace: 'catalogs', tokenFile, caFile: server.caFile };
}

test("runs are looked for in the cluster and namespace of the repository, with that cluster's token", async () => {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-clusters-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const [first, second] = [await clusterOf(dir, 'first'), await clusterOf(dir, 'second')];
  const { name: _, ...cluster } = first;
  const clusters = openClusters({ cluster, clusters: [second], deadlines: { call: 10_000, poll: 60_000 } }, log);
  onTestFinished(() => clusters.close());
  const found = async (place: Parameters<typeof clusters.at>[0]) =>
    (await clusters.at(place).findRun({ sha, appears: 0, signal })).name;
  expect(await found({})).toBe('first-catalogs');
  expect(await found({ namespace: 'other' })).toBe('first-other');
  expect(await found({ cluster: 'second' })).toBe('second-catalogs');
  expect(await found({ cluster: 'second', namespace: 'other' })).toBe('second-other');
  expect(clusters.at({ cluster: 'second' })).toBe(clusters.at({ cluster: 'second', namespace: 'catalogs' }));
});

test('what is wrong with a named cluster is told by its name', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-clusters-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const { name: _, ...cluster } = await clusterOf(dir, 'first');
  writeFileSync(join(dir, 'wrong'), 'a-token-of-nobody');
  const clusters = openClusters(
    {
      cluster,
      clusters: [
        { ...cluster, name: 'stage', tokenFile: join(dir, 'wrong') },
        { ...cluster, name: 'prod', caFile: join(dir, 'absent') },
      ],
      deadlines: { call: 10_000, poll: 60_000 },
    },
    log,
  );
  onTestFinished(() => clusters.close());
  await expect(clusters.at({ cluster: 'stage' }).check()).rejects.toMatchObject({
    code: 'kubernetes_denied',
    message: expect.stringContaining('tokenFile of the cluster "stage" is wrong'),
  });
  await expect(clusters.at({ cluster: 'prod' }).check()).rejects.toMatchObject({
    code: 'configuration_invalid',
    message: 'The file of caFile of the cluster "prod" cannot be read',
  });
  expect(() => clusters.at({ cluster: 'nowhere' })).toThrow(/no cluster .* "nowhere"/);
});

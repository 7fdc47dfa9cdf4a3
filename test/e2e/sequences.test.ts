import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pushBundleImage } from '../../src/sandbox/bundle-image.ts';
import { SOAK } from '../support/soak.ts';
import { migrated } from './support/opm-alone.ts';
import { expectRefusal, INDEX_JSON, realOperators, type TwinIndex, twinIndex } from './support/twin-index.ts';
import { noRealBundles, type World, world } from './support/world.ts';

const OPM = 'opm-v1.48.0';

/** Operator → versions that go into the index with the first request, all at once. */
const FIRST: Record<string, string[]> = {
  // The default channel that the first names is made by the second.
  'apicurio-registry': ['0.0.1', '1.0.0-v2.0.0.final'],
  aqua: ['2022.4.15'],
  'authorino-operator': ['0.0.1'],
  clickhouse: ['0.26.0'],
  'community-trivy-operator': ['2.1.1'],
  'dns-operator': ['0.1.0'],
  etcd: ['0.9.0'],
  'ibm-block-csi-operator-community': ['1.11.2'],
  infinispan: ['2.3.8'],
  'konveyor-operator': ['0.1.0'],
  'kuadrant-operator': ['0.2.0'],
  'kube-green': ['0.3.0'],
  'limitador-operator': ['0.3.0'],
  'mercury-operator': ['1.0.1'],
  'ndb-operator': ['1.6.0'],
  'oadp-operator': ['0.2.3'],
  'project-quay': ['3.9.0'],
  prometheus: ['0.14.0'],
  'rabbitmq-cluster-operator': ['1.14.0'],
  'rabbitmq-messaging-topology-operator': ['1.8.0'],
  'skupper-operator': ['1.5.3'],
  // Eighteen channels.
  'strimzi-kafka-operator': ['0.11.0'],
};

/** Three that are sent at once. */
const AT_ONCE = [
  ['kube-green', '0.3.1'],
  ['limitador-operator', '0.4.0'],
  ['ndb-operator', '1.6.1'],
] as const;

/** What else is added after the first, a request each; outside of `make soak` one of each operator. */
const NEXT: [operator: string, versions: string[], about: string][] = [
  ['apicurio-registry', ['1.1.0-v2.4.12.final'], 'prerelease parts in the version'],
  ['aqua', ['2022.4.16', '2022.4.17'], 'skipRange, then growing skips and no replaces'],
  ['authorino-operator', ['0.4.0'], 'no default channel'],
  ['clickhouse', ['0.26.1', '0.26.2', '0.27.0'], 'skips of bundles that are there and that are not'],
  ['community-trivy-operator', ['2.2.0'], 'two documents in a manifest'],
  ['dns-operator', ['0.2.0', '0.6.0'], 'a new head that replaces nothing strands what was there'],
  ['etcd', ['0.9.2', '0.9.2-clusterwide'], 'two channels that part'],
  ['ibm-block-csi-operator-community', ['1.11.4', '1.12.1'], 'skips only, then two more channels'],
  ['infinispan', ['2.4.0'], 'long skips, the default channel changes'],
  ['konveyor-operator', ['0.2.0-alpha.1'], 'skipRange and a prerelease in a channel of its own'],
  ['kuadrant-operator', ['0.4.0'], 'a second channel becomes the default'],
  ['mercury-operator', ['1.0.2'], 'dependencies, and channels that replace each other'],
  ['oadp-operator', ['0.2.5', '0.3.0'], 'replaces, skips and skipRange in one bundle'],
  ['project-quay', ['3.12.0'], 'a skipRange that is no range of semantic versions'],
  ['prometheus', ['0.14.0.substitutesfor', '0.15.0', '0.15.0.substitutesfor'], 'bundles that substitute others'],
  ['rabbitmq-cluster-operator', ['2.0.0'], 'a plain chain'],
  ['rabbitmq-messaging-topology-operator', ['1.9.0'], 'dependencies on packages and APIs, webhooks'],
  ['skupper-operator', ['1.6.0'], 'skips of bundles that never were'],
  ['strimzi-kafka-operator', ['0.11.1'], 'eighteen channels'],
];

const REFUSED: [operator: string, version: string, why: RegExp][] = [
  ['rabbitmq-cluster-operator', '2.19.1', /replaces nonexistent bundle rabbitmq-cluster-operator\.v2\.19\.0$/],
  ['prometheus', '0.15.0-stable', /^add prunes bundle prometheusoperator\.0\.15\.0-stable /],
  ['redis-operator', '0.0.1', /unable to determine default channel among channel heads/],
];

const title = noRealBundles || 'bundle sequences of real operators';

describe.skipIf(noRealBundles)(title, { timeout: 180_000 }, () => {
  const operators = noRealBundles ? new Map() : realOperators(JSON.parse(readFileSync(INDEX_JSON, 'utf8')));
  const packageOf = (operator: string): string => operators.get(operator)?.package ?? operator;
  let w: World;
  let twin: TwinIndex;
  beforeAll(async () => {
    w = await world();
    twin = await twinIndex(w, { ref: 'catalogs/real-operators:v4.19', ocp: 'v4.19', opm: OPM });
  });
  afterAll(() => w?.close());

  test(`${Object.keys(FIRST).length} operators begin, in one request`, async () => {
    const specs: string[] = [];
    for (const [operator, versions] of Object.entries(FIRST)) {
      for (const version of versions) specs.push(await w.bundle(operator, version));
    }
    const apicurio = specs.slice(0, 2);
    await twin.add({
      bundles: specs,
      touched: Object.keys(FIRST).map(packageOf),
      theirs: async () => {
        expect(await twin.alone.add(apicurio)).toBeNull();
        for (const spec of specs.slice(2)) expect(await twin.alone.add([spec])).toBeNull();
      },
    });
  });

  // Outside of `make soak` clickhouse goes on where something of it is deprecated.
  for (const [operator, versions, about] of NEXT.filter(([operator]) => SOAK || operator !== 'clickhouse')) {
    for (const version of SOAK ? versions : versions.slice(0, 1)) {
      test(`${operator} ${version} (${about})`, async () => {
        await twin.add({ bundles: [await w.bundle(operator, version)], touched: [packageOf(operator)] });
      });
    }
  }

  // What prunes needs the whole sequence before it.
  test.for(REFUSED.filter(([operator]) => SOAK || operator !== 'prometheus'))(
    '%s %s is refused with what opm says, and nothing has changed',
    async ([operator, version, why]) => {
      const bundle = await w.bundle(operator, version);
      const before = await w.photograph();
      const [ended, said] = await Promise.all([
        twin.request([bundle]).then((request) => w.end(request)),
        twin.alone.add([bundle]),
      ]);
      expect(said).toMatch(why);
      expectRefusal(ended, said);
      expect(await w.photograph()).toEqual(before);
    },
  );

  test('three sent at once: each stands on the one before', async () => {
    const specs: string[] = [];
    for (const [operator, version] of AT_ONCE) specs.push(await w.bundle(operator, version));
    const requests = await Promise.all(specs.map((spec) => twin.request([spec])));
    for (const spec of specs) expect(await twin.alone.add([spec])).toBeNull();
    for (const request of requests) expect(await w.end(request)).toMatchObject({ state: 'complete' });
    await twin.expectEqual(
      'shared',
      AT_ONCE.map(([operator]) => packageOf(operator)),
    );
  });

  test('a deprecated bundle and what it replaces go, with the add of a newer one', async () => {
    const newest = await w.bundle('clickhouse', SOAK ? '0.27.1' : '0.26.1');
    const deprecated = await w.bundle('clickhouse', '0.26.0');
    await twin.add({
      bundles: [newest],
      touched: ['clickhouse'],
      body: { deprecation_list: [deprecated] },
      theirs: async () => {
        expect(await twin.alone.add([newest])).toBeNull();
        await twin.alone.deprecate([deprecated]);
      },
    });
  });

  test('the same version again, as another image: refused in production, an overwrite in stage', async () => {
    await w.bundle('kube-green', '0.3.1');
    const rebuilt = await pushBundleImage(await w.sandbox.registryClient(), {
      bundleDir: join(w.sandbox.layout.dir, 'bundles', 'kube-green', '0.3.1'),
      ref: `${w.sandbox.at.registry}/bundles/kube-green:rebuilt`,
      labels: { rebuilt: 'true' },
    });
    const refused = await w.end(await twin.request([rebuilt]));
    const said = await twin.alone.add([rebuilt]);
    expect(said).toMatch(/^Bundle already added that provides package and csv/);
    expectRefusal(refused, said);
    await twin.add({
      bundles: [rebuilt],
      touched: ['kube-green'],
      body: { distribution_scope: 'stage' },
      theirs: async () => expect(await twin.alone.add([rebuilt], ['--overwrite-latest'])).toBeNull(),
    });
  });

  test('in the end every package of the branch is what opm makes of the shared database', async () => {
    await twin.database('shared', async (path) => {
      const theirs = await migrated(w, OPM, path);
      expect(theirs.size).toBe(22);
      expect(await twin.catalogs([...theirs.keys()])).toEqual(Object.fromEntries(theirs));
    });
  });
});

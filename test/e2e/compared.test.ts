import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundlesIn, packagesIn } from '../../src/catalog/index-db.ts';
import { jsonText } from '../../src/catalog/json-rules.ts';
import { DEPRECATIONS } from '../../src/catalog/names.ts';
import { pushFragmentImage } from '../../src/sandbox/fragment-image.ts';
import { type ComparedIndex, comparedIndex } from './support/compared-index.ts';
import { releaseToken } from './support/content.ts';
import { migrated, type OpmAlone, opmAlone } from './support/opm-alone.ts';
import { INDEX_JSON, realOperators } from './support/twin-index.ts';
import { noRealBundles, type View, type World, world } from './support/world.ts';

const OPM = 'opm-v1.48.0';
const OCP = 'v4.19';

/** Operator → versions that the index begins with. */
const OPERATORS: Record<string, string[]> = {
  'apicurio-registry': ['0.0.1', '1.0.0-v2.0.0.final'],
  aqua: ['2022.4.15'],
  'authorino-operator': ['0.0.1'],
  clickhouse: ['0.26.0', '0.26.1', '0.26.2'],
  'community-trivy-operator': ['2.1.1'],
  'dns-operator': ['0.1.0'],
  etcd: ['0.9.0', '0.9.2', '0.9.2-clusterwide'],
  'ibm-block-csi-operator-community': ['1.11.2'],
  'konveyor-operator': ['0.1.0'],
  'kuadrant-operator': ['0.2.0'],
  'kube-green': ['0.3.0'],
  'limitador-operator': ['0.3.0'],
  'mercury-operator': ['1.0.1'],
  'ndb-operator': ['1.6.0'],
  'oadp-operator': ['0.2.3'],
  prometheus: ['0.14.0'],
  'rabbitmq-cluster-operator': ['1.14.0'],
  'rabbitmq-messaging-topology-operator': ['1.8.0'],
  'skupper-operator': ['1.5.3'],
  'strimzi-kafka-operator': ['0.11.0'],
};

/** Leave the index first, and come back with the merge if they are for its OCP version. */
const REMOVED = ['etcd', 'kuadrant-operator', 'skupper-operator', 'strimzi-kafka-operator'];

/** Become file-based. */
const MOVED = ['kube-green', 'limitador-operator', 'ndb-operator'];

/** All they have says that it is for earlier versions of OCP: the merge takes them out. */
const UNFIT = ['aqua', 'dns-operator', 'ibm-block-csi-operator-community', 'oadp-operator', 'strimzi-kafka-operator'];

/** Three packages that no database has, each laid out in another way. */
const FILE_BASED: Record<string, string> = {
  'beacon/catalog.yaml': `---\nschema: olm.package\nname: beacon\ndefaultChannel: stable\n---\n${channel('beacon')}---\n${bundle('beacon')}`,
  'buoy/catalog.json':
    jsonText([
      { schema: 'olm.package', name: 'buoy', defaultChannel: 'stable' },
      { schema: 'olm.channel', package: 'buoy', name: 'stable', entries: [{ name: 'buoy.v1.0.0' }] },
    ]) + bundle('buoy'),
  'lamp/package.json': '{"schema": "olm.package", "name": "lamp", "defaultChannel": "stable"}',
  'lamp/channels/stable.json': channel('lamp'),
  'lamp/bundles/lamp.v1.0.0.json': bundle('lamp'),
};

function channel(name: string): string {
  return `{"schema": "olm.channel", "package": "${name}", "name": "stable", "entries": [{"name": "${name}.v1.0.0"}]}\n`;
}

function bundle(name: string): string {
  const image = `example.com/${name}@sha256:${'1'.repeat(64)}`;
  const property = `{"type": "olm.package", "value": {"packageName": "${name}", "version": "1.0.0"}}`;
  return `{"schema": "olm.bundle", "package": "${name}", "name": "${name}.v1.0.0", "image": "${image}", "properties": [${property}]}\n`;
}

describe.skipIf(noRealBundles)(
  noRealBundles || 'an index of 20 packages in its database and 3 beside it',
  { timeout: 240_000 },
  () => {
    const operators = noRealBundles ? new Map() : realOperators(JSON.parse(readFileSync(INDEX_JSON, 'utf8')));
    const packageOf = (operator: string): string => operators.get(operator)?.package ?? operator;
    const scratch = mkdtempSync(join(tmpdir(), 'indexwright-compared-'));
    const source = 'compared/index:start';
    let w: World;
    let index: ComparedIndex;
    let alone: OpmAlone;
    /** The database as it was at first; the source of the merge still has it. */
    let atFirst: OpmAlone;

    beforeAll(async () => {
      w = await world({ settings: ({ registry }) => ({ noOcpLabelAllowed: [`${registry}/compared/`] }) });
      const specs: string[] = [];
      for (const [operator, versions] of Object.entries(OPERATORS)) {
        for (const version of versions) specs.push(await w.bundle(operator, version));
      }
      const ref = `compared/index:${OCP}`;
      await w.index(ref, OCP, specs, { fbcDir: folderOf(FILE_BASED), arches: ['amd64'] });
      index = comparedIndex(w, { ref, ocp: OCP });
      await index.database('shared', async (path) => {
        alone = await opmAlone(w, OPM, path);
        atFirst = await opmAlone(w, OPM, path);
      });
      await copyOfIndex();
    });
    afterAll(async () => {
      await w?.close();
      rmSync(scratch, { recursive: true, force: true });
    });

    function folderOf(files: Record<string, string>): string {
      const dir = mkdtempSync(join(scratch, 'fbc-'));
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(join(dir, path)), { recursive: true });
        writeFileSync(join(dir, path), text);
      }
      return dir;
    }

    /** The index as it is now, under another tag. */
    async function copyOfIndex(): Promise<void> {
      const client = await w.sandbox.registryClient();
      const { registry } = w.sandbox.at;
      const artifacts = `${registry}/indexwright/index-db`;
      await client.point(`${artifacts}:index-start`, (await client.digestOf(`${artifacts}:index-${OCP}`)) ?? '');
      await client.point(`${registry}/${source}`, (await client.digestOf(index.spec)) ?? '');
    }

    const overwriting = () => ({
      from_index: index.spec,
      overwrite_from_index: true,
      overwrite_from_index_token: releaseToken(w),
    });

    /** A complete request; all folders but those of these names keep every byte, and no name is lost. */
    async function change(
      route: string,
      body: Record<string, unknown>,
      { touched, gone = [], fresh = [] }: { touched: string[]; gone?: string[]; fresh?: string[] },
      theirs: () => Promise<unknown>,
    ): Promise<View> {
      const before = await index.folders();
      const [ended] = await Promise.all([w.post(route, body).then((request) => w.end(request)), theirs()]);
      expect(ended).toMatchObject({ state: 'complete' });
      const after = await index.folders();
      const names = new Set([...Object.keys(before), ...fresh]).difference(new Set(gone));
      expect(Object.keys(after)).toEqual([...names].sort());
      const changed = [...names].filter((name) => after[name] !== before[name]).sort();
      expect(changed).toEqual(touched.toSorted());
      return ended;
    }

    test('is as opm makes it', async () => {
      await index.expectEqual('shared', OPM, alone.db);
      expect(Object.keys(await index.folders())).toEqual(
        [...Object.keys(OPERATORS).map(packageOf), 'beacon', 'buoy', 'lamp'].sort(),
      );
    });

    test('rm', async () => {
      const gone = REMOVED.map(packageOf);
      const ended = await change('rm', { ...overwriting(), operators: gone }, { touched: [], gone }, async () => {
        for (const name of gone) await alone.remove([name]);
      });
      await index.expectEqual(ended.id, OPM, alone.db);
    });

    test('fbc-operations', async () => {
      const moved = MOVED.map(packageOf);
      // What opm makes of these packages with their next versions.
      const next = await opmAlone(w, OPM, alone.db);
      for (const [operator, version] of [
        ['kube-green', '0.3.1'],
        ['limitador-operator', '0.4.0'],
        ['ndb-operator', '1.6.1'],
      ] as const) {
        expect(await next.add([await w.bundle(operator, version)])).toBeNull();
      }
      const catalogs = await migrated(w, OPM, next.db);
      const files = Object.fromEntries(moved.map((name) => [`${name}/catalog.json`, catalogs.get(name) ?? '']));
      const fbc_fragment = await pushFragmentImage(await w.sandbox.registryClient(), {
        fbcDir: folderOf({
          ...files,
          'raft/catalog.json': FILE_BASED['buoy/catalog.json']?.replaceAll('buoy', 'raft') ?? '',
        }),
        ref: `${w.sandbox.at.registry}/compared/fragment:v1`,
      });
      const body = { ...overwriting(), fbc_fragment };
      const ended = await change('fbc-operations', body, { touched: [...moved, 'raft'], fresh: ['raft'] }, async () => {
        for (const name of moved) await alone.remove([name]);
      });
      await index.expectEqual(ended.id, OPM, alone.db);
      expect(await index.catalogs(moved)).toEqual(Object.fromEntries(moved.map((name) => [name, catalogs.get(name)])));
    });

    test('add-deprecations', async () => {
      const entries = [{ reference: { schema: 'olm.channel', name: 'preview' }, message: 'old' }];
      const schema = { schema: 'olm.deprecations', package: 'prometheus', entries };
      const body = { ...overwriting(), operator_package: 'prometheus', deprecation_schema: JSON.stringify(schema) };
      const ended = await change(
        'add-deprecations',
        body,
        { touched: [DEPRECATIONS], fresh: [DEPRECATIONS] },
        async () => {},
      );
      await index.expectEqual(ended.id, OPM, alone.db);
    });

    test('add, with a bundle to deprecate', async () => {
      const added = [await w.bundle('clickhouse', '0.26.3'), await w.bundle('konveyor-operator', '0.1.1')];
      const deprecated = await w.bundle('clickhouse', '0.26.1');
      const body = { ...overwriting(), bundles: added, deprecation_list: [deprecated] };
      const touched = ['clickhouse', packageOf('konveyor-operator')];
      const ended = await change('add', body, { touched }, async () => {
        for (const spec of added) expect(await alone.add([spec])).toBeNull();
        await alone.deprecate([deprecated]);
      });
      await index.expectEqual(ended.id, OPM, alone.db);
    });

    test('merge-index-image', async () => {
      const back = REMOVED.filter((operator) => !UNFIT.includes(operator)).map(packageOf);
      // The older of two: its package loses a channel and lives on.
      const unfit = [await w.bundle('apicurio-registry', '0.0.1')];
      for (const operator of UNFIT) unfit.push(await w.bundle(operator, OPERATORS[operator]?.[0] ?? ''));
      const body = {
        source_from_index: `${w.sandbox.at.registry}/${source}`,
        target_index: index.spec,
        overwrite_target_index: true,
        overwrite_target_index_token: releaseToken(w),
        ignore_bundle_ocp_version: true,
      };
      const known = new Set(bundlesIn(atFirst.db).map(({ image }) => image));
      const missing = await index.database('shared', (path) =>
        bundlesIn(path).flatMap(({ image }) => (known.has(image) ? [] : [image])),
      );
      expect(missing).toHaveLength(2);
      const expected = {
        touched: [...back, 'apicurio-registry', 'clickhouse'],
        fresh: back,
        gone: UNFIT.map(packageOf),
      };
      const ended = await change('merge-index-image', body, expected, async () => {
        for (const operator of MOVED) await atFirst.remove([packageOf(operator)]);
        for (const spec of missing) expect(await atFirst.add([spec])).toBeNull();
        for (const spec of unfit) await atFirst.deprecate([spec]);
      });
      await index.expectEqual(ended.id, OPM, atFirst.db);
      expect(packagesIn(atFirst.db)).toHaveLength(20 - MOVED.length - UNFIT.length);
    });
  },
);

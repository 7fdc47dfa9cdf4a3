import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readAnnotations } from '../../src/bundle/annotations.ts';
import {
  assertRequiredLabels,
  bundleMapping,
  channelsOf,
  manifestsPathOf,
  packageOf,
} from '../../src/bundle/labels.ts';
import { readCsv, readCsvFiles } from '../../src/bundle/manifests.ts';
import { imagesOf, replaceRegistry } from '../../src/bundle/related-images.ts';
import { assertNoSubstitutionCycle } from '../../src/bundle/substitutions.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../examples/bundles/lighthouse/1.2.0');
const PREFIX = 'operators.operatorframework.io.bundle.';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-bundle-test-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function put(name: string, content: string): Promise<void> {
  await mkdir(dirname(join(dir, name)), { recursive: true });
  await writeFile(join(dir, name), content);
}

describe('labels', () => {
  test('package and channels', () => {
    const labels = { [`${PREFIX}package.v1`]: 'etcd', [`${PREFIX}channels.v1`]: 'alpha, beta,' };
    expect([packageOf(labels), channelsOf(labels)]).toEqual(['etcd', ['alpha', 'beta']]);
    expect([packageOf({}), channelsOf({})]).toEqual([undefined, []]);
  });

  test('required ones must match exactly', () => {
    assertRequiredLabels('x', { a: '1', b: '2' }, { a: '1' });
    expect(() => assertRequiredLabels('reg/x@sha256:1', { a: '1' }, { a: '1', b: '2' })).toThrow(
      expect.objectContaining({
        code: 'bundle_label_missing',
        message: 'The bundle reg/x@sha256:1 does not have the label b=2',
      }),
    );
  });

  test('the mapping keeps what was asked for, in order', () => {
    const bundle = (pullSpec: string, name?: string) => ({
      pullSpec,
      labels: name === undefined ? {} : { [`${PREFIX}package.v1`]: name },
    });
    expect(bundleMapping([bundle('b:1', 'p'), bundle('a:1', 'q'), bundle('none'), bundle('a:2', 'p')])).toEqual({
      p: ['b:1', 'a:2'],
      q: ['a:1'],
    });
  });

  test.each([
    ['manifests/', '/manifests'],
    ['/a//b/./c/../', '/a/b'],
    ['../../etc', '/etc'],
  ])('manifests %s are in %s', (label, path) => {
    expect(manifestsPathOf({ [`${PREFIX}manifests.v1`]: label })).toBe(path);
  });

  test.each([[undefined], [''], ['/'], ['..']])('manifests %s are nowhere', (label) => {
    expect(() => manifestsPathOf(label === undefined ? {} : { [`${PREFIX}manifests.v1`]: label })).toThrow(
      "src_path must name a directory under /, got '/'",
    );
  });
});

describe('annotations', () => {
  test('of an example', async () => {
    expect(await readAnnotations(EXAMPLE)).toMatchObject({ package: 'lighthouse' });
  });

  test.each([
    [undefined, 'metadata/annotations.yaml does not exist in the bundle'],
    ['a: [', 'metadata/annotations.yaml is not valid YAML: line 1, column 5: a value is expected'],
    ['annotations:', `${PREFIX}package.v1 is not set in metadata/annotations.yaml`],
    ['- a', 'The value of metadata/annotations.yaml must be a dictionary'],
    ['annotations: {}', `${PREFIX}package.v1 is not set in metadata/annotations.yaml`],
    [
      `annotations: {${PREFIX}package.v1: [a]}`,
      `The value of ${PREFIX}package.v1 in metadata/annotations.yaml is not a string`,
    ],
  ])('%j: %s', async (content, message) => {
    if (content !== undefined) await put('metadata/annotations.yaml', content);
    await expect(readAnnotations(dir)).rejects.toMatchObject({ code: 'bundle_unsupported', message });
  });
});

describe('manifests', () => {
  const csv = (name: string, annotations = '') =>
    `kind: ClusterServiceVersion\nmetadata: {name: ${name}, annotations: {${annotations}}}\n`;

  test('an example is read', async () => {
    expect(await readCsv(join(EXAMPLE, 'manifests'))).toEqual({
      file: 'lighthouse.clusterserviceversion.yaml',
      name: 'lighthouse.v1.2.0',
      substitutesFor: undefined,
    });
    const files = await readCsvFiles(join(EXAMPLE, 'manifests'));
    expect(files.map(({ file }) => file)).toEqual(['lighthouse.clusterserviceversion.yaml']);
  });

  test('of several CSVs opm takes the first of the folder itself; all are changed, links are not followed', async () => {
    await put('crd.yaml', 'broken: [');
    await put('secret', csv('outside'));
    await put('m/b.txt', csv('b', 'olm.substitutesFor: a'));
    await put('m/a/c.yml', csv('c'));
    await put('m/.a.yaml', csv('hidden'));
    await put('m/c.yaml', `${csv('d')}---\n${csv('e')}`);
    await symlink(join(dir, 'secret'), join(dir, 'm/a.yaml'));
    expect(await readCsv(join(dir, 'm'))).toEqual({ file: 'b.txt', name: 'b', substitutesFor: 'a' });
    const files = await readCsvFiles(join(dir, 'm'));
    expect(files.map(({ file, documents }) => [file, documents.length])).toEqual([
      ['.a.yaml', 1],
      ['a/c.yml', 1],
      ['c.yaml', 2],
    ]);
  });

  test('broken YAML is refused with its place where it is to be changed, and left to opm elsewhere', async () => {
    await put('a.yaml', `kind: ClusterServiceVersion\n${csv('a')}`);
    const message =
      'The Operator Manifest is not in a valid YAML format: manifests/a.yaml, line 2, column 1: the key "kind" is there twice';
    await expect(readCsvFiles(dir)).rejects.toMatchObject({ code: 'bundle_unsupported', message });
    expect(await readCsv(dir)).toMatchObject({ name: 'a' });
    for (const broken of ['a: &a [*a]\n', `a: ${'['.repeat(50_000)}`, 'a: "\0"', 'a: *b', 'a: [1']) {
      await put('a.yaml', `kind: ClusterServiceVersion\n${broken}`);
      await expect(readCsvFiles(dir)).rejects.toMatchObject({ code: 'bundle_unsupported' });
      expect(await readCsv(dir)).toBeNull();
    }
    await writeFile(join(dir, 'a.yaml'), Buffer.from(`${csv('a')}b: caf\xe9\n`, 'latin1'));
    await expect(readCsvFiles(dir)).rejects.toThrow('manifests/a.yaml, line 3: the text is not UTF-8');
  });
});

describe('images of a ClusterServiceVersion', () => {
  test('come named and in order', () => {
    const container = (image: string, ...env: object[]) => ({ name: `c-${image}`, image, env });
    const digest = 'd'.repeat(64);
    const csv = {
      metadata: {
        annotations: {
          note: `see (quay.io/ns/a:1), b:2 and quay.io:443/x/y/z@sha256:${digest}. Not quay.io/ns/untagged`,
          containerImage: 'quay.io/ns/operator:v1',
        },
      },
      spec: {
        relatedImages: [{ name: 'first', image: 'r1' }],
        install: {
          spec: {
            deployments: [
              {
                spec: {
                  template: {
                    metadata: { annotations: { containerImage: `quay.io/ns/pod@sha256:${digest}` } },
                    spec: {
                      containers: [container('k1', { name: 'RELATED_IMAGE_Web_UI', value: 'e1' }, { name: 'OTHER' })],
                      initContainers: [container('i1', { name: 'RELATED_IMAGE_INIT', value: 'e2' })],
                    },
                  },
                },
              },
            ],
          },
        },
      },
    };
    expect(imagesOf(csv)).toEqual([
      { name: 'first', image: 'r1' },
      { name: 'operator-v1-annotation', image: 'quay.io/ns/operator:v1' },
      { name: `pod-${digest}-annotation`, image: `quay.io/ns/pod@sha256:${digest}` },
      { name: 'c-k1', image: 'k1' },
      { name: 'c-i1', image: 'i1' },
      { name: 'web_ui', image: 'e1' },
      { name: 'init', image: 'e2' },
      { name: `y/z-${digest}-annotation`, image: `quay.io:443/x/y/z@sha256:${digest}` },
      { name: 'a-1-annotation', image: 'quay.io/ns/a:1' },
    ]);
  });

  test('are none where a part is absent, null or empty', () => {
    const nothing = [null, {}, [], ''];
    const pods = [{}, null, { spec: null }, { spec: {} }, { spec: { template: null } }, { spec: { template: {} } }];
    const container = { image: '', env: [null, { name: 'RELATED_IMAGE_A', value: '' }, { name: 'RELATED_IMAGE_B' }] };
    const pod = (...containers: unknown[]) => ({ spec: { template: { spec: { containers, initContainers: null } } } });
    const specs = [
      ...nothing.slice(0, 2),
      { relatedImages: null, install: null },
      ...nothing.slice(0, 2).map((spec) => ({ install: { spec } })),
      { install: { strategy: 'deployment' } },
      { install: { spec: { deployments: null } } },
      { install: { spec: { deployments: [...pods, pod(null, {}, { image: null, env: null }, container)] } } },
      { relatedImages: [{ name: 'a', image: '' }] },
    ];
    for (const spec of specs) {
      const metadata = { annotations: { containerImage: '', other: '', none: null } };
      expect(imagesOf({ metadata, spec }), JSON.stringify(spec)).toEqual([]);
    }
    expect(imagesOf({ metadata: null })).toEqual([]);
    expect(imagesOf({ metadata: { annotations: null } })).toEqual([]);
  });

  test('without a value are refused', () => {
    const env = [{ name: 'RELATED_IMAGE_A', valueFrom: { fieldRef: {} } }];
    const pod = { containers: [{ name: 'c', env }] };
    const csv = { spec: { install: { spec: { deployments: [{ spec: { template: { spec: pod } } }] } } } };
    expect(() => imagesOf(csv)).toThrow('The variable RELATED_IMAGE_A must have a value; "valueFrom" is not supported');
    expect(imagesOf({})).toEqual([]);
    expect(() => imagesOf({ spec: { relatedImages: [{ name: 'a', value: 'q.io/x:1' }] } })).toThrow(
      'The related image a has no "image"',
    );
    expect(() => imagesOf({ spec: { relatedImages: 'x' } })).toThrow(
      expect.objectContaining({ code: 'bundle_unsupported' }),
    );
  });

  test('get the registry configured for the user', () => {
    const map = { 'old.example.com': 'new.example.com/mirror' };
    expect(replaceRegistry('old.example.com/a/b:1', map)).toBe('new.example.com/mirror/a/b:1');
    expect(replaceRegistry('other.example.com/old.example.com/b:1', map)).toBe('other.example.com/old.example.com/b:1');
    expect(replaceRegistry('constructor/a', {})).toBe('constructor/a');
  });
});

describe('substitutions', () => {
  const substitutes = (name: string, substitutesFor?: string) => ({ name, substitutesFor });

  test('chains are fine, circles are not', () => {
    assertNoSubstitutionCycle([substitutes('c', 'b'), substitutes('b', 'a'), substitutes('a'), substitutes('d', 'b')]);
    expect(() => assertNoSubstitutionCycle([substitutes('a', 'a')])).toThrow(
      'The bundle a must not substitute for itself',
    );
    const circle = [substitutes('d', 'a'), substitutes('a', 'b'), substitutes('b', 'c'), substitutes('c', 'a')];
    expect(() => assertNoSubstitutionCycle(circle)).toThrow(
      expect.objectContaining({
        code: 'bundle_unsupported',
        message: 'The bundles a, b, c substitute for one another in a circle',
      }),
    );
  });

  test('are finite exactly when following them from everywhere ends', () => {
    const edges = fc.array(fc.tuple(fc.nat(6), fc.option(fc.nat(6))), { maxLength: 10 });
    fc.assert(
      fc.property(edges, (list) => {
        const bundles = list.map(([name, target]) =>
          substitutes(`b${name}`, target === null ? undefined : `b${target}`),
        );
        const target = new Map(bundles.filter((b) => b.substitutesFor).map((b) => [b.name, b.substitutesFor]));
        const ends = [...target.keys()].every((name) => {
          let at: string | undefined = name;
          for (let steps = 0; steps < 20 && at !== undefined; steps++) at = target.get(at);
          return at === undefined;
        });
        if (ends) assertNoSubstitutionCycle(bundles);
        else expect(() => assertNoSubstitutionCycle(bundles)).toThrow();
      }),
    );
  });
});

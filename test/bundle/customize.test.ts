import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BUNDLE, parseContainerfile } from '../../src/builder/containerfile.ts';
import { openCsvs } from '../../src/bundle/csv-edit.ts';
import { customize, type ImageReader, isTrue, type Order } from '../../src/bundle/customize.ts';
import { bundleDockerfile } from '../../src/bundle/dockerfile.ts';
import { parseImageName, printImageName, qualified } from '../../src/bundle/image-name.ts';
import { customizationsOf, OrganizationCustomizations } from '../../src/config/customizations.ts';

const EXAMPLE = resolve(import.meta.dirname, '../../examples/bundles/lighthouse/1.0.0');
const DIGEST = `sha256:${'d'.repeat(64)}`;

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-customize-'));
});
afterEach(() => rm(dir, { recursive: true }));

async function put(name: string, content: string): Promise<void> {
  await mkdir(dirname(join(dir, name)), { recursive: true });
  await writeFile(join(dir, name), content);
}

/** A registry in which everything exists under one digest, with these labels; it remembers what it was asked. */
function registry(labels: Record<string, Record<string, string>> = {}) {
  const asked: string[] = [];
  const images: ImageReader = {
    resolve: async (spec) => {
      asked.push(spec);
      return `${spec.split(/[:@][^/]*$/)[0]}@${DIGEST}`;
    },
    labels: async (spec) => {
      asked.push(spec);
      return labels[spec] ?? {};
    },
  };
  return { images, asked };
}

const order = (given: Partial<Order>): Order => ({
  bundleDir: dir,
  customizations: [],
  organization: 'acme',
  pinned: false,
  replacements: {},
  images: registry().images,
  ...given,
});

const csv = (name: string, image: string) =>
  `kind: ClusterServiceVersion\nmetadata:\n  name: ${name}\n  annotations:\n    containerImage: ${image}\nspec: {}\n`;
const ANNOTATIONS = 'annotations:\n  operators.operatorframework.io.bundle.package.v1: kite\n';

describe('image names', () => {
  test.each([
    ['reg.io/ns/a/b:1', { registry: 'reg.io', namespace: 'ns', repo: 'a/b', tag: '1' }],
    ['reg.io/ns/repo', { registry: 'reg.io', namespace: 'ns', repo: 'repo', tag: 'latest' }],
    [`localhost:5000/repo@${DIGEST}`, { registry: 'localhost:5000', repo: 'repo', tag: DIGEST }],
    ['ns/repo:1', { namespace: 'ns', repo: 'repo', tag: '1' }],
    ['repo', { repo: 'repo', tag: 'latest' }],
    [`reg.io/ns/repo:1@${DIGEST}`, { registry: 'reg.io', namespace: 'ns', repo: 'repo:1', tag: DIGEST }],
  ])('%s', (text, name) => {
    expect(parseImageName(text)).toEqual(name);
    expect(printImageName(name)).toBe(/[:@][^/]*$/.test(text) ? text : `${text}:latest`);
  });

  test('are qualified as container engines do it', () => {
    expect(['redis:6', 'ns/repo:1', 'ns/a/b:1', 'localhost/a:1', 'reg.io/a:1'].map(qualified)).toEqual([
      'docker.io/library/redis:6',
      'docker.io/ns/repo:1',
      'docker.io/ns/a/b:1',
      'localhost/a:1',
      'reg.io/a:1',
    ]);
  });
});

describe('a bundle', () => {
  test('may have no CSV, several, and several in one file', async () => {
    await put('metadata/annotations.yaml', ANNOTATIONS);
    await put('manifests/none.yaml', 'kind: Other\n');
    await customize(order({ customizations: [{ type: 'resolve_image_pullspecs' }] }));
    await put('manifests/a.yaml', `${csv('a', 'q.io/n/a:1')}---\nkind: Service\n---\n${csv('b', 'q.io/n/b')}`);
    await put('manifests/deep/c.yml', csv('c', 'redis:6'));
    const { images, asked } = registry();
    expect(await customize(order({ customizations: [{ type: 'resolve_image_pullspecs' }], images }))).toEqual({
      labels: { 'com.redhat.iib.pinned': 'true' },
      packageName: 'kite',
    });
    expect(asked).toEqual(['q.io/n/a:1', 'q.io/n/b:latest', 'docker.io/library/redis:6']);
    const a = await readFile(join(dir, 'manifests/a.yaml'), 'utf8');
    expect(a.match(new RegExp(`q.io/n/[ab]@${DIGEST}`, 'g'))).toHaveLength(4);
    expect(await readFile(join(dir, 'manifests/deep/c.yml'), 'utf8')).toContain(`containerImage: redis@${DIGEST}`);
  });

  test('with digests only is not touched and gets no label', async () => {
    await put('metadata/annotations.yaml', ANNOTATIONS);
    await put('manifests/a.yaml', csv('a', `q.io/n/a@${DIGEST}`));
    const { images, asked } = registry();
    const done = await customize(order({ customizations: [{ type: 'resolve_image_pullspecs' }], images }));
    expect(done.labels).toEqual({});
    expect(asked).toEqual([`q.io/n/a@${DIGEST}`]);
    expect(await readFile(join(dir, 'manifests/a.yaml'), 'utf8')).toBe(csv('a', `q.io/n/a@${DIGEST}`));
  });

  test('with one name for two images is refused, all conflicts named', async () => {
    const env = (image: string) => `{name: RELATED_IMAGE_WEB, value: ${image}}`;
    const pod = `{containers: [{name: web, image: q.io/n/a:1, env: [${env('q.io/n/b:1')}]}], initContainers: [{name: web, image: q.io/n/c:1}]}`;
    await put(
      'manifests/a.yaml',
      `kind: ClusterServiceVersion\nspec: {install: {spec: {deployments: [{spec: {template: {spec: ${pod}}}}]}}}\n`,
    );
    const csvs = await openCsvs(join(dir, 'manifests'));
    await expect(csvs.replaceImages(new Map())).rejects.toThrow(
      expect.objectContaining({
        code: 'bundle_unsupported',
        message:
          'manifests/a.yaml - Found conflicts when setting relatedImages:\n' +
          'container web: q.io/n/a:1 X init container web: q.io/n/c:1\n' +
          'container web: q.io/n/a:1 X RELATED_IMAGE_WEB variable: q.io/n/b:1',
      }),
    );
  });

  test('with empty names of images has nothing to pin there, and ends', async () => {
    await put('metadata/annotations.yaml', ANNOTATIONS);
    const spec = "spec:\n  relatedImages: [{name: x, image: ''}]\n  install: {strategy: deployment}\n";
    await put('manifests/a.yaml', csv('a', "''").replace('spec: {}\n', spec));
    await put('manifests/b.yaml', csv('b', 'q.io/n/a:1'));
    await customize(order({ customizations: [{ type: 'resolve_image_pullspecs' }] }));
    expect(await readFile(join(dir, 'manifests/a.yaml'), 'utf8')).toBe(csv('a', "''").replace('spec: {}\n', spec));
    expect(await readFile(join(dir, 'manifests/b.yaml'), 'utf8')).toContain(`containerImage: q.io/n/a@${DIGEST}`);
  });

  test.each([
    ['quotes', 'icon:\n  - base64data: "PHN2Zy8+\n"\n    mediatype: image/svg+xml'],
    ['single quotes', "description: 'one\n\ntwo\n'"],
    ['a list', 'keywords: [one,\ntwo,\nthree\n]'],
    ['a mapping', 'labels: {\na: b\n}'],
  ])('with %s that go on at column 0 is pinned, and all else keeps its bytes', async (_, part) => {
    const text = (image: string, related = '') => csv('a', image).replace(' {}\n', `\n  ${part}\n${related}`);
    await put('metadata/annotations.yaml', ANNOTATIONS);
    await put('manifests/a.yaml', text('q.io/n/a:1'));
    await customize(order({ customizations: [{ type: 'resolve_image_pullspecs' }] }));
    const image = `q.io/n/a@${DIGEST}`;
    const related = `  relatedImages:\n  - name: a-${'d'.repeat(64)}-annotation\n    image: ${image}\n`;
    expect(await readFile(join(dir, 'manifests/a.yaml'), 'utf8')).toBe(text(image, related));
  });

  test('with broken YAML is refused', async () => {
    await put('manifests/a.yaml', 'kind: ClusterServiceVersion\na: [\n');
    await expect(openCsvs(join(dir, 'manifests'))).rejects.toThrow(
      'The Operator Manifest is not in a valid YAML format: ',
    );
  });

  test('that was made on Windows keeps its line ends', async () => {
    await put('metadata/annotations.yaml', ANNOTATIONS);
    await put('manifests/a.yaml', csv('a', 'q.io/n/a:1').replaceAll('\n', '\r\n'));
    await customize(order({ customizations: [{ type: 'csv_annotations', annotations: { x: '{package_name}' } }] }));
    const text = await readFile(join(dir, 'manifests/a.yaml'), 'utf8');
    expect(text).toContain('    x: kite\r\n');
    expect(text.replaceAll('\r\n', '')).not.toContain('\n');
  });
});

describe('customizations', () => {
  beforeEach(async () => {
    await cp(EXAMPLE, dir, { recursive: true });
  });
  const text = () => readFile(join(dir, 'manifests/lighthouse.clusterserviceversion.yaml'), 'utf8');

  test('a missing label is told with those there are', async () => {
    const csvs = await openCsvs(join(dir, 'manifests'));
    const [image = ''] = await csvs.images();
    const { images } = registry({ [image]: { name: 'x', version: '1' } });
    await expect(
      customize(order({ customizations: [{ type: 'image_name_from_labels', template: '{name}-{release}' }], images })),
    ).rejects.toThrow(
      `Pull spec ${image} is missing one or more label(s) required in the image_name_from_labels {name}-{release}. ` +
        'Available labels: name, version',
    );
  });

  test('a suffix is given once; annotations want an organization', async () => {
    const suffix = { type: 'package_name_suffix', suffix: '-cmp' } as const;
    const annotations = { type: 'csv_annotations', annotations: { by: '{package_name}' } } as const;
    const before = await text();
    const done = await customize(order({ customizations: [suffix, suffix, annotations], organization: null }));
    expect(done).toMatchObject({ packageName: 'lighthouse-cmp' });
    expect(await text()).toBe(before);
    await customize(order({ customizations: [suffix, annotations, annotations] }));
    expect((await text()).match(/by: lighthouse-cmp/g)).toHaveLength(1);
  });

  test('without an organization, or for one without a list, the default is made', () => {
    const types = (organization: string | null) =>
      customizationsOf({ acme: [{ type: 'related_bundles' }], empty: [] }, organization).map(({ type }) => type);
    const usual = ['resolve_image_pullspecs', 'related_bundles', 'perform_bundle_replacements'];
    expect([types('acme'), types(null), types('empty'), types('toString')]).toEqual([
      ['related_bundles'],
      usual,
      usual,
      usual,
    ]);
  });

  test.each([
    [{ type: 'nonsense' }, 'type'],
    [{ type: 'package_name_suffix' }, 'suffix'],
    [{ type: 'enclose_repo', enclosure_glue: '-' }, 'namespace'],
    [{ type: 'registry_replacements', replacements: { a: 1 } }, 'replacements'],
  ])('a list with %j is refused, the entry named', (entry, key) => {
    const parsed = OrganizationCustomizations.safeParse({ acme: [{ type: 'related_bundles' }, entry] });
    expect(parsed.error?.issues[0]?.path.slice(0, 3)).toEqual(['acme', 1, key]);
  });

  test.each([
    ['true', true],
    ['"yes"', true],
    ['1', true],
    ['yes', true],
    ['false', false],
    ['no', false],
    ['0', false],
    ['', false],
    ['[', false],
  ])('a label %s is %s', (label, truth) => {
    expect(isTrue(label)).toBe(truth);
  });
});

describe('the Dockerfile', () => {
  test('says to the builder what it was made of', () => {
    const labels = { 'a.b/c': 'true', quoted: 'say "$x" \\ $y \\$z', empty: '' };
    const text = bundleDockerfile({ from: `q.io/n/a@${DIGEST}`, labels });
    expect(text.split('\n').filter((line) => line.startsWith('LABEL'))).toHaveLength(3);
    expect(parseContainerfile(text, {}, BUNDLE)).toMatchObject({
      base: `q.io/n/a@${DIGEST}`,
      labels,
      copies: [
        { source: 'manifests', target: '/manifests' },
        { source: 'metadata', target: '/metadata' },
      ],
    });
  });

  test('holds no label of several lines', () => {
    expect(() => bundleDockerfile({ from: 'x', labels: { a: 'b\nRUN c' } })).toThrow(
      'characters that no label may have',
    );
  });
});

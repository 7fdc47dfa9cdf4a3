import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { assertNoSubstitutionCycle } from '../../src/bundle/substitutions.ts';
import { inThread } from '../../src/bundle/thread.ts';
import { bundlesIn, emptyIndexDb, substitutionsIn } from '../../src/catalog/index-db.ts';
import type { Opm } from '../../src/catalog/opm.ts';
import { registryAdd } from '../../src/catalog/opm-commands.ts';
import { noCredentials } from '../../src/registry/auth.ts';
import { createRegistryClient, type RegistryClient } from '../../src/registry/client.ts';
import { pushBundleImage } from '../../src/sandbox/bundle-image.ts';
import { openWorld, opmNamed, type World } from '../catalog/world.ts';

const PREFIX = 'operators.operatorframework.io.bundle.';
const ANNOTATIONS = `annotations:\n  ${PREFIX}package.v1: odd\n  ${PREFIX}channels.v1: stable\n`;

/** A CSV with more lines in its metadata, in its spec, and after it. */
const csv = ({ name = 'odd.v1.0.0', metadata = '', spec = '', end = '' } = {}) =>
  `apiVersion: operators.coreos.com/v1alpha1\nkind: ClusterServiceVersion\nmetadata:\n  name: ${name}\n${metadata}` +
  `spec:\n  version: 1.0.0\n${spec}  install:\n    strategy: deployment\n    spec:\n      deployments: []\n${end}`;
const json = (value: string) => `{"kind": "ClusterServiceVersion", "metadata": {"name": "odd.v1.0.0"}, ${value}}`;
const laughs = Array.from(
  { length: 9 },
  (_, at) => `a${at}: &a${at} [${Array(9).fill(at ? `*a${at - 1}` : 'x')}]\n`,
).join('');

/** What is odd, whether opm adds it, and the manifests. */
const CASES: [string, 'added' | 'refused', Record<string, string | Buffer>][] = [
  ['nothing', 'added', { 'a.yaml': csv() }],
  [
    'a key twice',
    'added',
    { 'a.yaml': csv({ metadata: '  annotations: {a: b}\n  annotations: {olm.substitutesFor: odd.v0.9.0}\n' }) },
  ],
  ['a name twice', 'added', { 'a.yaml': csv({ metadata: '  name: odd.v1.0.1\n' }) }],
  [
    'quotes that go on at column 0',
    'added',
    { 'a.yaml': csv({ spec: '  icon:\n  - base64data: "PHN2Zy8+\n"\n    mediatype: image/svg+xml\n' }) },
  ],
  ['a list that goes on at column 0', 'added', { 'a.yaml': csv({ spec: '  keywords: [one,\ntwo\n]\n' }) }],
  [
    'text like numbers',
    'added',
    {
      'a.yaml': csv({
        metadata: '  annotations: {commit: e2345678, olm.substitutesFor: e23}\n',
        spec: '  maturity: .\n',
      }),
    },
  ],
  ['install without spec', 'added', { 'a.yaml': csv().replace(/ {4}spec:[\s\S]*/, '') }],
  ['install that is null', 'added', { 'a.yaml': csv().replace(/ {2}install:[\s\S]*/, '  install:\n') }],
  [
    'empty images',
    'added',
    {
      'a.yaml': csv({
        metadata: "  annotations: {containerImage: ''}\n",
        spec: "  relatedImages: [{name: a, image: ''}]\n",
      }),
    },
  ],
  [
    'nulls',
    'added',
    {
      'a.yaml': csv({
        metadata: '  annotations:\n  labels: null\n',
        spec: '  relatedImages:\n  replaces:\n  skips: ~\n',
      }),
    },
  ],
  [
    'octal numbers and tags',
    'added',
    { 'a.yaml': csv({ end: 'x: [0o644, 0644, !!binary YWJj, !!float 3, !!str 5, y, 1_000]\n' }) },
  ],
  ['an anchor used 150 times', 'added', { 'a.yaml': csv({ end: `x: &x {a: b}\ny: [${Array(150).fill('*x')}]\n` }) }],
  ['an alias bomb', 'refused', { 'a.yaml': csv({ end: laughs }) }],
  [
    'merged annotations',
    'added',
    { 'a.yaml': csv({ metadata: '  annotations: {<<: {olm.substitutesFor: odd.v0.9.0}, a: b}\n' }) },
  ],
  ['an annotation that is a number', 'refused', { 'a.yaml': csv({ metadata: '  annotations: {a: 1}\n' }) }],
  ['an annotation that is null', 'added', { 'a.yaml': csv({ metadata: '  annotations: {a: null, b: c}\n' }) }],
  ['a byte order mark', 'added', { 'a.yaml': `\ufeff${csv()}` }],
  ['line ends of Windows', 'added', { 'a.yaml': csv().replaceAll('\n', '\r\n') }],
  ['tabs after colons', 'added', { 'a.yaml': csv().replace('name: odd', 'name:\todd') }],
  ['a tab as indentation', 'refused', { 'a.yaml': csv({ metadata: '\tlabels: {}\n' }) }],
  ['%YAML 1.1 before the separator', 'refused', { 'a.yaml': `%YAML 1.1\n---\n${csv()}` }],
  ['bytes that are not UTF-8', 'refused', { 'a.yaml': Buffer.from(csv({ end: 'x: caf\xe9\n' }), 'latin1') }],
  ['NUL', 'refused', { 'a.yaml': csv({ end: 'x: "\0"\n' }) }],
  ['.nan', 'refused', { 'a.yaml': csv({ end: 'x: .nan\n' }) }],
  ['a null as a key', 'refused', { 'a.yaml': csv({ end: '~: x\n' }) }],
  ['JSON', 'added', { 'a.yaml': json('"spec": {"version": "1.0.0"}, "x": "\\/\\ud83d\\ude00"') }],
  [
    'JSON with a key twice and text behind',
    'added',
    { 'a.json': `${json('"spec": {"version": "9"}, "spec": {"version": "1.0.0"}')} more` },
  ],
  ['a comment as the first document', 'refused', { 'a.yaml': `# license\n---\n${csv()}` }],
  ['a separator with text', 'refused', { 'a.yaml': `--- # c\n${csv()}--- x\n` }],
  [
    'a second document',
    'added',
    { 'a.yaml': `${csv()}---\n${csv({ metadata: '  annotations: {olm.substitutesFor: odd.v1.0.0}\n' })}` },
  ],
  [
    'a second file',
    'added',
    { 'a.yml': csv(), 'b.yaml': csv({ name: 'other', metadata: '  annotations: {olm.substitutesFor: other}\n' }) },
  ],
  ['a broken file first', 'added', { 'a.yaml': 'kind: ClusterServiceVersion\nx: [', 'b.txt': csv() }],
  ['a file in a folder', 'refused', { 'a/a.yaml': csv() }],
  ['a hidden file', 'refused', { '.a.yaml': csv() }],
  ['1,500 levels', 'added', { 'a.yaml': csv({ end: `x: ${'['.repeat(1500)}${']'.repeat(1500)}\n` }) }],
];

let world: World;
let opm: Opm;
let client: RegistryClient;
let empty: string;
beforeAll(async () => {
  world = await openWorld();
  opm = await opmNamed('opm-v1.48.0');
  client = createRegistryClient({ auth: noCredentials, insecure: [world.host], callTimeout: 30_000 });
  empty = world.path('empty.db');
  await emptyIndexDb(opm, empty);
});
afterAll(() => world?.close());

async function unpacked(files: Record<string, string | Buffer>): Promise<string> {
  const dir = world.path('bundle');
  for (const [name, text] of Object.entries({ 'metadata/annotations.yaml': ANNOTATIONS, ...prefixed(files) })) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
  return dir;
}

const prefixed = (files: Record<string, string | Buffer>) =>
  Object.fromEntries(Object.entries(files).map(([name, text]) => [`manifests/${name}`, text]));

/** What opm has in the database afterwards, or why it has nothing. */
async function added(dir: string): Promise<{ name: string; substitutesFor: string | undefined } | { why: string }> {
  const image = await pushBundleImage(client, { bundleDir: dir, ref: `${world.host}/odd:1` });
  const db = world.path('index.db');
  await copyFile(empty, db);
  try {
    await registryAdd(opm, db, [image], {}, world.around);
  } catch (thrown) {
    return { why: (thrown as Error).message };
  }
  const [bundle] = bundlesIn(db);
  return { name: bundle?.name ?? '', substitutesFor: substitutionsIn(db, ['odd'])[0]?.substitutesFor };
}

test.each(CASES)('opm registry add of a bundle with %s: %s', async (_, expected, files) => {
  const dir = await unpacked(files);
  const theirs = await added(dir);
  expect('why' in theirs ? 'refused' : 'added', JSON.stringify(theirs)).toBe(expected);
  // What is looked at before opm is called lets everything pass that opm takes, and sees the same in it.
  const ours = await inThread('readCsv', join(dir, 'manifests'));
  if (ours !== null) assertNoSubstitutionCycle([ours]);
  expect(await inThread('readCsvImages', join(dir, 'manifests'))).toEqual([]);
  if (!('why' in theirs) && !files['a.yaml']?.includes('[[[')) {
    expect({ name: ours?.name, substitutesFor: ours?.substitutesFor }).toEqual(theirs);
  }
});

test('a bundle that substitutes itself is found however it is written', async () => {
  const self = 'olm.substitutesFor: odd.v1.0.0';
  for (const metadata of [
    `  annotations: {a: b}\n  annotations: {${self}}\n`,
    `  annotations: {<<: {${self}}}\n`,
    `  annotations:\n    olm.substitutesFor: "odd.\\\n  v1.0.0"\n`,
    `  annotations: {${self},\na: e23}\n`,
  ]) {
    const dir = await unpacked({ 'a.yaml': csv({ metadata }) });
    const ours = await inThread('readCsv', join(dir, 'manifests'));
    expect(() => assertNoSubstitutionCycle(ours === null ? [] : [ours])).toThrow('must not substitute for itself');
  }
});

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openCsvs } from '../../src/bundle/csv-edit.ts';
import { isPinned, parseImageName } from '../../src/bundle/image-name.ts';
import { manifestsOf, noRealBundles, pinnedByName, unpackBundles } from './real-bundles.ts';

/** Bundles with related images that have no image: nobody can say what their authors meant. */
const REFUSED: Record<string, string> = {
  'strimzi-kafka-operator/0.16.2': 'The related image strimzi-cluster-operator has no "image"',
  'strimzi-kafka-operator/0.17.0': 'The related image strimzi-cluster-operator has no "image"',
};

/**
 * What looks like a pull spec with a tag and is no reference by §11.2, line by line. Each is a string outside of
 * annotations that is not, as a whole, an image named elsewhere in the CSV.
 */
const NOT_REFERENCES = [
  { operator: 'apicurio-registry', line: /^value: \S+$/, why: 'variables that are not called RELATED_IMAGE_*' },
  { operator: 'apicurio-registry', line: /^- description: /, why: 'prose' },
  { operator: 'community-trivy-operator', line: /trivytest/, why: 'an example of metrics in the description' },
  { operator: 'infinispan', line: /server:\d/, why: 'JSON in a variable; its images also stand in RELATED_IMAGE_*' },
  { operator: 'prometheus', line: /--[\w-]+=/, why: 'arguments with more than the image in them' },
];

let dir: string;
let bundles: string[];
/** `operator/version/file` → its text before anything was done. */
const originals = new Map<string, string>();

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-real-bundles-'));
  if (noRealBundles) return;
  bundles = unpackBundles(dir);
  for (const bundle of bundles)
    for (const file of csvFiles(bundle)) originals.set(join(bundle, file), read(bundle, file));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const manifests = (bundle: string) => join(dir, bundle, 'manifests');
const read = (bundle: string, file: string) => readFileSync(join(manifests(bundle), file), 'utf8');
const csvFiles = (bundle: string) =>
  manifestsOf(manifests(bundle)).filter((file) => /^kind: ['"]?ClusterServiceVersion/m.test(read(bundle, file)));

describe.skipIf(noRealBundles)(noRealBundles || 'all real bundles', { timeout: 1_200_000 }, () => {
  test('there are 489 of them, with a CSV each', () => {
    expect(bundles.length).toBe(489);
    expect(originals.size).toBe(489);
  });

  test('reading changes nothing, pinning pins every reference and changes not one other byte', async () => {
    const refused: Record<string, string> = {};
    for (const bundle of bundles) {
      try {
        await pinAndBack(bundle);
      } catch (thrown) {
        refused[bundle] = (thrown as Error).message;
      }
    }
    expect(refused).toEqual(REFUSED);
  });

  test('what a naive search still finds with a tag is known, with the reason', () => {
    const used = new Set<string>();
    const unknown: string[] = [];
    for (const bundle of bundles.filter((name) => !(name in REFUSED))) {
      for (const file of csvFiles(bundle)) {
        for (const line of linesWithTags(read(bundle, file))) {
          const reason = NOT_REFERENCES.find((one) => bundle.startsWith(`${one.operator}/`) && one.line.test(line));
          if (reason === undefined) unknown.push(`${bundle}: ${line}`);
          else used.add(reason.why);
        }
      }
    }
    expect(unknown).toEqual([]);
    expect([...used].sort()).toEqual(NOT_REFERENCES.map(({ why }) => why).sort());
  });

  test('pinning a second time changes nothing', async () => {
    for (const bundle of bundles.filter((name) => !(name in REFUSED))) {
      const csvs = await openCsvs(manifests(bundle));
      expect(
        (await csvs.images()).filter((image) => !isPinned(parseImageName(image))),
        bundle,
      ).toEqual([]);
      await csvs.replaceImages(new Map());
      const changed = await csvs.save();
      // Those that had digests only get their related images now: the procedure was not asked for before.
      for (const file of changed) expect(read(bundle, file)).toContain('relatedImages:');
      await csvs.replaceImages(new Map());
      expect(await csvs.save()).toEqual([]);
    }
  });
});

/** Reads a bundle and pins it; then, in memory, gives every image its tag back and compares with what was there. */
async function pinAndBack(bundle: string): Promise<void> {
  const csvs = await openCsvs(manifests(bundle));
  expect(await csvs.save()).toEqual([]);
  for (const file of csvFiles(bundle)) expect(read(bundle, file)).toBe(originals.get(join(bundle, file)));
  const images = await csvs.images();
  expect(images.length, bundle).toBeGreaterThan(0);
  const tagged = images.filter((image) => !isPinned(parseImageName(image)));
  if (tagged.length === 0) return;
  await csvs.replaceImages(new Map(tagged.map((image) => [image, pinnedByName(image)])));
  expect((await csvs.images()).every((image) => isPinned(parseImageName(image)))).toBe(true);
  const files = await csvs.save();
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) {
    const original = originals.get(join(bundle, file)) ?? '';
    let back = read(bundle, file);
    for (const image of tagged) {
      const [name, latest] = [pinnedByName(image), image.replace(/:latest$/, '')];
      const written = original.includes(image) ? image : latest;
      back = back.replaceAll(name, written);
    }
    const added = /\r?\n *relatedImages:(?:\r?\n *- name: .*\n *image: [^\r\n]*)+/;
    expect(original.includes('relatedImages:') ? back : back.replace(added, '')).toBe(original);
  }
}

/** Lines with something like `registry.example/path:tag` in them; knows nothing of YAML. */
function linesWithTags(text: string): string[] {
  return text.split(/\r?\n/).flatMap((line) => {
    const words = line.match(/[\w./:@-]+/g) ?? [];
    const found = words.some(
      (word) => word.length < 400 && /^[\w-]+(?:\.[\w-]+)+(?::\d+)?(?:\/[\w.-]+)+:[\w.-]+$/.test(word),
    );
    return found ? [line.trim()] : [];
  });
}

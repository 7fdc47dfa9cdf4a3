import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { openCsvs } from '../../src/bundle/csv-edit.ts';
import { isPinned, parseImageName, printImageName } from '../../src/bundle/image-name.ts';
import { readCsvFiles } from '../../src/bundle/manifests.ts';
import { placesOf } from '../../src/bundle/related-images.ts';
import { ARCHIVES, noRealBundles, pinnedByName, unpackBundles } from './real-bundles.ts';

const Answer = z.union([
  z.object({ refused: z.string() }),
  z.object({ found: z.array(z.string()), changed: z.boolean(), related: z.array(z.tuple([z.string(), z.string()])) }),
]);
type Answer = z.infer<typeof Answer>;

const SCRIPT = resolve(import.meta.dirname, '../../scripts/operator-manifest.sh');

/** Where the library's answers are, or why there are none. The first time it takes a minute of two cores. */
function askLibrary(): { file: string } | { without: string } {
  if (noRealBundles) return { without: noRealBundles };
  const ran = spawnSync(SCRIPT, [ARCHIVES], { encoding: 'utf8', timeout: 900_000 });
  return ran.status === 0 ? { file: ran.stdout.trim() } : { without: ran.stderr.trim() || 'the script did not end' };
}

const library = askLibrary();
const skipped = 'without' in library ? library.without : false;

/** The differences there are, each explained in docs/bundles.md. */
const EXPLAINED: Record<string, string> = {
  'strimzi-kafka-operator/0.16.2': 'refused by both: a related image without image',
  'strimzi-kafka-operator/0.17.0': 'refused by both: a related image without image',
};
const isOci = (image: string) => image.startsWith('oci:');
/** The library prints `oci://host` with one slash; it is no pull spec for either. */
const sameSlashes = (image: string) => (isOci(image) ? image.replace(/^oci:\/+/, 'oci://') : image);

let dir: string;
let answers: Record<string, Answer>;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-library-'));
  if (!('file' in library)) return;
  unpackBundles(dir);
  answers = z.record(z.string(), Answer).parse(JSON.parse(readFileSync(library.file, 'utf8')));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe.skipIf(skipped)(skipped || 'compared with operator-manifest 0.0.5', { timeout: 1_200_000 }, () => {
  test('the same references in the same order, and the same related images after pinning', async () => {
    const differences: Record<string, unknown> = {};
    let compared = 0;
    for (const [path, answer] of Object.entries(answers)) {
      const [operator = '', version = '', , ...file] = path.split('/');
      const ours = await ask(join(dir, operator, version, 'manifests'), file.join('/'));
      const theirs =
        'refused' in answer
          ? { refused: true }
          : {
              ...answer,
              found: answer.found.map(sameSlashes),
              related: answer.related.map(([name, image]) => [name, sameSlashes(image)]),
            };
      compared += 1;
      const bundle = `${operator}/${version}`;
      if (bundle in EXPLAINED && 'refused' in answer && 'refused' in ours) continue;
      try {
        expect(ours).toEqual(theirs);
      } catch {
        differences[bundle] = { ours, theirs };
      }
    }
    expect(differences).toEqual({});
    expect(compared).toBe(489);
  });
});

async function ask(manifests: string, file: string): Promise<Answer> {
  try {
    const found = (await readOne(manifests, file)).flatMap((value) =>
      placesOf(value).map(({ image }) => printImageName(parseImageName(image))),
    );
    const csvs = await openCsvs(manifests);
    const tagged = (await csvs.images()).filter((image) => !isPinned(parseImageName(image)));
    if (tagged.length > 0) await csvs.replaceImages(new Map(tagged.map((image) => [image, pinnedAsTheirs(image)])));
    await csvs.save();
    const after = await readOne(manifests, file);
    const Related = z.object({
      spec: z.object({ relatedImages: z.array(z.object({ name: z.string(), image: z.string() })).nullish() }),
    });
    const related = after.flatMap((value) => Related.parse(value).spec.relatedImages ?? []);
    return { found, changed: tagged.length > 0, related: related.map(({ name, image }) => [name, image]) };
  } catch (thrown) {
    return { refused: (thrown as Error).message };
  }
}

/** The digest is made of the name as the library prints it. */
function pinnedAsTheirs(image: string): string {
  if (!isOci(image)) return pinnedByName(image);
  const { tag } = parseImageName(pinnedByName(image.replace('oci://', 'oci:/')));
  return printImageName({ ...parseImageName(image), tag });
}

async function readOne(manifests: string, file: string): Promise<unknown[]> {
  const read = (await readCsvFiles(manifests)).filter((one) => one.file === file);
  return read.flatMap(({ documents }) => documents.map(({ value }) => value));
}

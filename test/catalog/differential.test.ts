import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { replacePackage } from '../../src/catalog/fragments.ts';
import type { CatalogReader } from '../../src/catalog/reader.ts';
import { Failure } from '../../src/errors/failure.ts';
import { SOAK } from '../support/soak.ts';
import { comparable, oracleOf } from './oracle.ts';
import { type Files, randomCatalog } from './random-catalogs.ts';
import { directoryTree, readerOf } from './world.ts';

const CASES = SOAK ? 20_000 : 500;
/** Kept in one folder at a time. */
const BATCH = 250;
const SEED = Number(process.env.INDEXWRIGHT_SEED ?? 20_261_201);

let dir: string;
let reader: CatalogReader;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-differential-'));
  reader = await readerOf('opm-v1.48.0', { scratch: dir });
});
afterAll(() => rm(dir, { recursive: true }));

/** What comes of a fragment in an empty catalog. */
type Outcome = { taken: true } | { taken: false; message: string };

async function bring(at: string): Promise<Outcome> {
  await mkdir(join(at, 'configs'));
  try {
    await replacePackage(directoryTree(join(at, 'configs'), reader), 'gadget', join(at, 'fragment'));
    return { taken: true };
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.code !== 'catalog_invalid') throw thrown;
    return { taken: false, message: thrown.message };
  }
}

/** Refusals of ours that docs/catalog-repository.md names; opm takes these. */
const BY_RULE = [
  /^The catalog file gadget\/.+ is not valid: it is not UTF-8 text; save it as UTF-8$/,
  /^Empty YAML file found: gadget\/.+$/,
  /^The fragment's folder gadget defines no package$/,
];

test(`${CASES} random and mutated catalogs: the same are taken, the same documents come out (seed ${SEED})`, {
  timeout: SOAK ? 6 * 3_600_000 : 600_000,
}, async () => {
  const catalogs = fc.sample(randomCatalog, { numRuns: CASES, seed: SEED });
  const counts = { taken: 0, refused: 0, byRule: 0 };
  for (let from = 0; from < catalogs.length; from += BATCH) {
    const batch = catalogs.slice(from, from + BATCH).map((files, at) => ({ files, number: from + at }));
    await Promise.all(batch.map(({ files, number }) => put(join(dir, `${number}`, 'fragment/gadget'), files)));
    const outcomes: Outcome[] = [];
    for (const { number } of batch) outcomes.push(await bring(join(dir, `${number}`)));
    const given = await oracleOf(batch.map(({ number }) => join(dir, `${number}`, 'fragment')));
    const now = await oracleOf(batch.map(({ number }) => join(dir, `${number}`, 'configs')));
    for (const [at, { files, number }] of batch.entries()) {
      const [outcome, before, after] = [outcomes[at], given[at], now[at]];
      const tell = `case ${number} of seed ${SEED}: ${JSON.stringify(outcome)}; opm: ${JSON.stringify(before)?.slice(0, 500)}; files: ${show(files)}`;
      if (outcome?.taken === false && BY_RULE.some((rule) => rule.test(outcome.message))) {
        counts.byRule += 1;
        continue;
      }
      if (outcome === undefined || before === undefined || after === undefined) throw new Error(tell);
      if ('error' in before) {
        // What our quick reading lets through, `opm validate` of the result refuses in the same way.
        expect(outcome.taken && !('error' in after), tell).toBe(false);
        counts.refused += 1;
      } else {
        expect(outcome.taken, tell).toBe(true);
        expect(comparable('documents' in after ? after.documents : []), tell).toEqual(comparable(before.documents));
        counts.taken += 1;
      }
    }
    await Promise.all(batch.map(({ number }) => rm(join(dir, `${number}`), { recursive: true })));
  }
  console.log(`seed ${SEED}: ${JSON.stringify(counts)}`);
  // A generator that makes one kind alone compares nothing.
  expect(counts.taken).toBeGreaterThan(CASES / 5);
  expect(counts.refused).toBeGreaterThan(CASES / 20);
});

async function put(folder: string, files: Files): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
}

function show(files: Files): string {
  return Object.entries(files)
    .map(([name, content]) => `${name} ${JSON.stringify(content.toString('latin1')).slice(0, 3000)}`)
    .join('; ');
}

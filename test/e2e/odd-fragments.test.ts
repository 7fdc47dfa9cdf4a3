import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { pushFragmentImage } from '../../src/sandbox/fragment-image.ts';
import { FAULTS, type OddCatalog } from '../catalog/odd-catalogs.ts';
import { comparable, oracleOf } from '../catalog/oracle.ts';
import { imageOf } from './support/content.ts';
import { type World, world } from './support/world.ts';

let here: World;
let dir: string;
beforeAll(async () => {
  here = await world();
  dir = await mkdtemp(join(tmpdir(), 'indexwright-e2e-odd-'));
});
afterAll(async () => {
  await here?.close();
  await rm(dir, { recursive: true, force: true });
});

async function put(folder: string, files: Readonly<Record<string, string | Buffer>>): Promise<string> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  }
  return folder;
}

/** A request of its own for each: what one of them does must not touch another. */
async function operate({ files }: OddCatalog, number: number) {
  const fbcDir = join(dir, `fragment-${number}`);
  await put(join(fbcDir, 'gadget'), files);
  const ref = `${here.sandbox.at.registry}/fragments/odd-${number}:v1`;
  await pushFragmentImage(await here.sandbox.registryClient(), { fbcDir, ref });
  const given = { from_index: here.sandbox.seeded.fromIndex, fbc_fragment: ref };
  return here.end(await here.post('fbc-operations', given));
}

test('each fragment is served as opm reads it, or refused by the name its file has', { timeout: 600_000 }, async () => {
  const ended = await Promise.all(FAULTS.map(operate));
  for (const [number, { name, outcome }] of FAULTS.entries()) {
    const request = ended[number];
    if (typeof outcome !== 'number') {
      expect(request, name).toMatchObject({ state: 'failed', state_reason: expect.stringMatching(outcome) });
      continue;
    }
    expect(request, name).toMatchObject({ state: 'complete' });
    const { configs } = await imageOf(here, request?.index_image ?? '');
    const own = Object.fromEntries(Object.entries(configs).filter(([path]) => path.startsWith('gadget/')));
    const served = await put(join(dir, `served-${number}`), own);
    const [given, now] = await oracleOf([join(dir, `fragment-${number}`), served]);
    if (given === undefined || !('documents' in given)) throw new Error(`opm refuses: ${name}`);
    expect(given.documents, name).toHaveLength(outcome);
    expect(now, name).toHaveProperty('documents');
    expect(comparable(now !== undefined && 'documents' in now ? now.documents : []), name).toEqual(
      comparable(given.documents),
    );
  }
});

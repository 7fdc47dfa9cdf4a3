import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { foldersOfFragment, replacePackage } from '../../src/catalog/fragments.ts';
import type { Opm } from '../../src/catalog/opm.ts';
import type { CatalogTree } from '../../src/catalog/tree.ts';
import { readPackages } from '../../src/catalog/update.ts';
import { validatePackages } from '../../src/catalog/validate.ts';
import { Failure } from '../../src/errors/failure.ts';
import { SOAK } from '../support/soak.ts';
import { FAULTS, KIN } from './odd-catalogs.ts';
import { comparable, oracleOf } from './oracle.ts';
import { directoryTree, OPMS, opmNamed, readerOf } from './world.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-reader-'));
  await mkdir(join(dir, 'configs'));
});
afterEach(() => rm(dir, { recursive: true }));

async function put(files: Record<string, string | Buffer>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), content);
  }
}

const below = (folder: string, files: Record<string, string | Buffer>) =>
  Object.fromEntries(Object.entries(files).map(([name, content]) => [join(folder, name), content]));

async function bring(opm: Opm, tree: CatalogTree): Promise<void> {
  const fragment = join(dir, 'fragment');
  await replacePackage(tree, 'gadget', fragment);
  await validatePackages(opm, tree, ['gadget'], {}, Object.values(foldersOfFragment(fragment, 'gadget')));
}

test.runIf(SOAK)('a file whose aliases stand for too much is refused for that', { timeout: 600_000 }, async () => {
  const tree = directoryTree(join(dir, 'configs'), await readerOf(OPMS[0], { scratch: dir }));
  const text = `schema: custom\na: &a ${'x'.repeat(1_000_000)}\nb: [${Array(300).fill('*a').join(', ')}]\n`;
  await put(below('fragment/gadget', { 'catalog.yaml': text }));
  await expect(replacePackage(tree, 'gadget', join(dir, 'fragment'))).rejects.toMatchObject({
    code: 'catalog_invalid',
    message: 'The catalog file gadget/catalog.yaml expands to more than 268435456 bytes',
  });
});

describe.each(OPMS)('a fragment is what %s reads', (name) => {
  test.each([...FAULTS, ...(SOAK || name === OPMS[0] ? KIN : [])].map((odd) => [odd.name, odd] as const))(
    '%s',
    async (_, odd) => {
      const opm = await opmNamed(name);
      const tree = directoryTree(join(dir, 'configs'), await readerOf(name, { scratch: dir }));
      await put(below('fragment/gadget', odd.files));
      if (typeof odd.outcome === 'number') {
        await bring(opm, tree);
        const [given, now] = await oracleOf([join(dir, 'fragment'), join(dir, 'configs')]);
        if (given === undefined || !('documents' in given)) throw new Error('opm refuses the fragment');
        if (now === undefined || !('documents' in now)) throw new Error('opm refuses the catalog');
        expect(given.documents).toHaveLength(odd.outcome);
        expect(comparable(now.documents)).toEqual(comparable(given.documents));
        const [model] = await readPackages(tree, ['gadget']);
        expect(model?.name).toBe('gadget');
        expect(model?.bundles.get('gadget.v1.0.0')).toMatchObject({ version: '1.0.0' });
      } else {
        const failure = await bring(opm, tree).catch((thrown: unknown) => thrown);
        expect(failure).toBeInstanceOf(Failure);
        expect(failure).toMatchObject({ code: 'catalog_invalid', message: expect.stringMatching(odd.outcome) });
        expect((failure as Failure).message).not.toContain(dir);
      }
      expect((await readdir(dir)).sort()).toEqual(['configs', 'fragment']);
    },
  );
});

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseImageName, printImageName } from '../../src/bundle/image-name.ts';

const SHARED = process.env.INDEXWRIGHT_SHARED ?? resolve(import.meta.dirname, '../../../shared');

/** Archives of real bundles, one for each operator. */
export const ARCHIVES = join(SHARED, 'data/bundles');

/** Why tests with real bundles are skipped, or false when they are there. */
export const noRealBundles = existsSync(ARCHIVES)
  ? false
  : `real bundles are not at ${ARCHIVES} (INDEXWRIGHT_SHARED names another place)`;

/** Unpacks all bundles below `dir` and gives their folders, `operator/version`. */
export function unpackBundles(dir: string): string[] {
  return readdirSync(ARCHIVES)
    .filter((name) => name.endsWith('.tar.gz'))
    .flatMap((archive) => {
      const operator = basename(archive, '.tar.gz');
      mkdirSync(join(dir, operator));
      execFileSync('tar', ['-xzf', join(ARCHIVES, archive), '-C', join(dir, operator)]);
      return readdirSync(join(dir, operator)).map((version) => join(operator, version));
    });
}

/** Files of a bundle that may hold a CSV, relative to its manifests folder. */
export function manifestsOf(dir: string): string[] {
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => /\.ya?ml$/.test(name));
}

/** The image under a digest that is made of its name; scripts/operator-manifest.py makes the same. */
export function pinnedByName(image: string): string {
  const digest = createHash('sha256').update(image).digest('hex');
  return printImageName({ ...parseImageName(image), tag: `sha256:${digest}` });
}

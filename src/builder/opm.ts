import { chmod, mkdtemp, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import semver from 'semver';
import { Failure } from '../errors/failure.ts';
import { run } from '../process/run.ts';
import { mask } from '../telemetry/secrets.ts';

export interface Opm {
  program: string;
  /** `vX.Y.Z` */
  version: string;
}

/**
 * Picks the opm a build asks for among the `opm-vX.Y.Z` of a directory; bare `opm` takes the newest one.
 *
 * @param wanted `opm_version` of the build metadata
 * @throws Failure `opm_missing` naming the versions there are (konflux-and-gitlab.md §3.1)
 */
export async function findOpm(dir: string, wanted: string): Promise<Opm> {
  const versions = (await readdir(dir).catch(() => []))
    .flatMap((name) => /^opm-(v\d+\.\d+\.\d+)$/.exec(name)?.[1] ?? [])
    .sort(semver.compare);
  const version = wanted === 'opm' ? versions.at(-1) : versions.find((one) => one === wanted.replace(/^opm-/, ''));
  if (version === undefined) {
    const offer = versions.length === 0 ? 'it has none' : `it has ${versions.join(', ')}`;
    throw new Failure('opm_missing', `opm_version "${wanted}" is not offered by this builder: ${offer}`);
  }
  return { program: join(dir, `opm-${version}`), version };
}

/**
 * Checks the whole catalog with `opm validate`.
 *
 * @param timeout milliseconds
 * @throws Failure `catalog_invalid` with what opm says
 */
export async function validateCatalog(opm: Opm, configs: string, timeout: number): Promise<void> {
  const ran = await run(opm.program, ['validate', configs], { timeout });
  if (ran.exitCode !== 0)
    throw new Failure('catalog_invalid', `opm validate refuses configs: ${lastLines(ran.stderr)}`);
}

/**
 * Makes the cache that goes into the image beside the catalog and gives its directory, a new one inside `scratch`.
 *
 * opm's integrity check at pod start may cover file modes, so nothing of ours may leak into them: umask 022, and a
 * directory of mode 0755 without setgid (konflux-and-gitlab.md §3.1). What opm sets itself (0770, 0660 for the files it
 * writes while serving) stays as it is.
 *
 * @param timeout milliseconds
 * @throws Failure `opm_refused` with what opm says
 */
export async function makeCache(opm: Opm, configs: string, scratch: string, timeout: number): Promise<string> {
  const cache = await mkdtemp(join(scratch, 'cache-'));
  await chmod(cache, 0o755);
  const args = ['serve', configs, `--cache-dir=${cache}`, '--cache-only', '--termination-log', '/dev/null'];
  // Since 1.29 opm opens a profiling port unless told not to: two builds on one host would collide.
  if (semver.gte(opm.version, '1.29.0')) args.push('--pprof-addr', '');
  const ran = await run('sh', ['-c', 'umask 022; exec "$@"', 'sh', opm.program, ...args], { timeout });
  if (ran.exitCode !== 0) throw new Failure('opm_refused', `opm could not make the cache: ${lastLines(ran.stderr)}`);
  return cache;
}

/** The end of what a program said, where the reason stands. */
function lastLines(text: string): string {
  return mask(text.trim().split('\n').slice(-10).join('\n').slice(-4000));
}

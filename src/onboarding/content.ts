import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { ProposalKind } from '../config/schema.ts';
import { startedByPushes } from './definition.ts';

const TEKTON = resolve(import.meta.dirname, '../../tekton');

/** What a repository holds: catalogs, one branch for each OCP version, or bundles that are regenerated. */
export type RepositoryKind = 'catalog' | 'bundle';
/** Who runs its pipelines: Tekton with Pipelines-as-Code as they are, or Konflux. */
export type PipelineVariant = 'tekton' | 'konflux';

/** Owned by the catalog repository; what the build makes of it is the same for every request (konflux-and-gitlab.md §3.5). */
const CATALOG_DOCKERFILE = `ARG BINARY_IMAGE
FROM \${BINARY_IMAGE}
ENTRYPOINT ["/bin/opm"]
CMD ["serve", "/configs", "--cache-dir=/tmp/cache"]
COPY configs /configs
COPY --chown=1001:0 cache /tmp/cache
LABEL operators.operatorframework.io.index.configs.v1=/configs
`;

/** What a definition becomes by the way changes are proposed. */
const as: Record<ProposalKind, (definition: string) => string> = {
  'merge-request': (definition) => definition,
  'direct-commit': startedByPushes,
};

/**
 * Writes what a branch needs before the first request into a checkout of it: the definitions of `tekton/` in the place of
 * those that are there, and, for a catalog, `Dockerfile` and `configs/` where they are missing.
 */
export async function fillBranch(
  dir: string,
  { kind, variant, proposal }: { kind: RepositoryKind; variant: PipelineVariant; proposal: ProposalKind },
): Promise<void> {
  const definitions = join(TEKTON, ...(variant === 'konflux' ? ['konflux'] : []), kind);
  const target = join(dir, '.tekton');
  await mkdir(target, { recursive: true });
  // Files of the same name are ours; others may be the repository's own.
  for (const name of await readdir(definitions)) {
    await rm(join(target, name), { force: true });
    await writeFile(join(target, name), as[proposal](await readFile(join(definitions, name), 'utf8')));
  }
  if (kind === 'bundle') return;
  await writeFile(join(dir, 'Dockerfile'), CATALOG_DOCKERFILE, { flag: 'wx' }).catch(unlessThere);
  if ((await readdir(join(dir, 'configs')).catch(() => [])).length > 0) return;
  await mkdir(join(dir, 'configs'), { recursive: true });
  // git keeps no empty directory, and a catalog without packages is one.
  await writeFile(join(dir, 'configs', '.gitkeep'), '');
}

function unlessThere(thrown: NodeJS.ErrnoException): void {
  if (thrown.code !== 'EEXIST') throw thrown;
}

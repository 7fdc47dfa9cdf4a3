import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Log } from '../../../telemetry/log.ts';
import type { Api } from './api.ts';
import { claimFolder } from './pod-run.ts';
import type { Follower } from './watch.ts';

export const Claim = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    deletionTimestamp: z.string().optional(),
    finalizers: z.array(z.string()).default([]),
  }),
});
type Claim = z.infer<typeof Claim>;

const PROTECTION = 'kubernetes.io/pvc-protection';

/**
 * Takes the folders of claims away with the claims. No controller of volumes runs in the sandbox's cluster, so the mark
 * that protects a claim in use is taken off here, once the claim is to go.
 */
export function claimFollower(world: { api: Api; dir: string; log: Log }): Follower<Claim> {
  const { api, dir, log } = world;
  const trouble = (err: unknown) => log.warn({ err }, 'claims');
  const remove = (namespace: string, name: string) =>
    void rm(claimFolder(dir, namespace, name), { recursive: true, force: true }).catch(trouble);
  const changed = ({ metadata }: Claim) => {
    const { namespace, name, uid, deletionTimestamp, finalizers } = metadata;
    if (deletionTimestamp === undefined || !finalizers.includes(PROTECTION)) return;
    const body = { metadata: { uid, finalizers: finalizers.filter((finalizer) => finalizer !== PROTECTION) } };
    const path = `/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`;
    const options = { body, type: 'application/merge-patch+json', expected: [404, 409, 422] };
    api.call('PATCH', path, z.unknown(), options).catch(trouble);
  };
  return {
    listed(all) {
      all.forEach(changed);
      const known = new Set(all.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`));
      foldersIn(dir)
        .then((found) => {
          for (const [namespace, name] of found) if (!known.has(`${namespace}/${name}`)) remove(namespace, name);
        })
        .catch(trouble);
    },
    changed,
    deleted: ({ metadata }) => remove(metadata.namespace, metadata.name),
  };
}

async function foldersIn(dir: string): Promise<[namespace: string, name: string][]> {
  const base = join(dir, 'claims');
  const namespaces = await readdir(base).catch(() => []);
  const pairs = await Promise.all(
    namespaces.map(async (namespace) =>
      (await readdir(join(base, namespace))).map((name): [string, string] => [namespace, name]),
    ),
  );
  return pairs.flat();
}

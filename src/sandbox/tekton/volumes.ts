import { mkdir, writeFile } from 'node:fs/promises';
import { join, normalize, sep } from 'node:path';
import { RESOURCES, type Resource } from '../kubernetes/object.ts';
import type { WorkspaceBinding } from './schema.ts';
import type { World } from './world.ts';

/** Where a binding's files come from when it is a Secret or ConfigMap. */
interface Source {
  resource: Resource;
  name: string;
}

export function sourceOf({ secret, configMap }: WorkspaceBinding): Source | undefined {
  if (secret) return { resource: RESOURCES.secrets, name: secret.secretName };
  return configMap ? { resource: RESOURCES.configmaps, name: configMap.name } : undefined;
}

/** Secrets and ConfigMaps that must exist before a pod can start; a real kubelet waits for them, so do we. */
export async function sourcesPresent(
  { store }: World,
  namespace: string,
  bindings: readonly WorkspaceBinding[],
  signal: AbortSignal,
  waiting: (missing: Source) => void,
): Promise<void> {
  const missing = () =>
    bindings
      .map(sourceOf)
      .find(
        (source) => source !== undefined && store.find(source.resource, { namespace, name: source.name }) === undefined,
      );
  const first = missing();
  if (first === undefined) return;
  waiting(first);
  await new Promise<void>((resolve, reject) => {
    const unsubscribe = store.subscribe(() => {
      if (missing() !== undefined) return;
      unsubscribe();
      resolve();
    });
    signal.addEventListener('abort', () => {
      unsubscribe();
      reject(signal.reason);
    });
  });
}

/**
 * The directory that stands for a workspace in one task. Claims are shared (made from a template: by the tasks of one
 * run; named: by all of a namespace), an emptyDir is each task's own, Secrets and ConfigMaps become private files.
 */
export async function mountWorkspace(
  { store, dir }: World,
  run: { namespace: string; uid: string },
  taskDir: string,
  binding: WorkspaceBinding,
  subPath: string | undefined,
): Promise<string> {
  const source = sourceOf(binding);
  const base = binding.volumeClaimTemplate
    ? join(dir, 'runs', run.uid, binding.name)
    : binding.persistentVolumeClaim
      ? join(dir, 'claims', run.namespace, binding.persistentVolumeClaim.claimName)
      : join(taskDir, 'workspaces', binding.name);
  const inner = normalize(join(binding.subPath ?? '', subPath ?? ''));
  const mounted = inner.startsWith(`..${sep}`) || inner === '..' ? base : join(base, inner);
  await mkdir(mounted, { recursive: true, mode: 0o700 });
  if (source) {
    const object = store.get(source.resource, { namespace: run.namespace, name: source.name });
    const encoding = source.resource === RESOURCES.secrets ? 'base64' : 'utf8';
    for (const [name, value] of Object.entries((object.data ?? {}) as Record<string, string>)) {
      await writeFile(join(mounted, name), Buffer.from(value, encoding), { mode: 0o600 });
    }
  }
  return mounted;
}

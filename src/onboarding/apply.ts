import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { Anything, type Rest } from './rest.ts';

/** A Kubernetes object as it stands in a file. */
export const Manifest = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
});
export type Manifest = z.infer<typeof Manifest>;

/** Makes an object be as the manifest says, whether it is there or not; fields the manifest leaves out are not touched. */
export type Apply = (object: Manifest, options?: { dryRun: true }) => Promise<void>;

const Kinds = z.object({
  resources: z.array(z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean() })),
});

/**
 * Server-side apply. Asks the server once for each group what its kinds are called in paths.
 *
 * @param fieldManager whose the applied fields are from now on
 * @throws Failure `kubernetes_denied` for a kind the server does not have, and for what it refuses, in its words
 */
export function applyTo(cluster: Rest, fieldManager: string): Apply {
  const groups = new Map<string, Promise<z.infer<typeof Kinds>>>();
  const kindsOf = (apiVersion: string) => {
    const known = groups.get(apiVersion) ?? cluster('GET', groupPath(apiVersion), Kinds);
    groups.set(apiVersion, known);
    // What was not there may have been installed since.
    known.catch(() => groups.delete(apiVersion));
    return known;
  };
  return async (object, options) => {
    const { apiVersion, kind, metadata } = object;
    const { resources } = await kindsOf(apiVersion);
    const resource = resources.find((one) => one.kind === kind && !one.name.includes('/'));
    if (resource === undefined) {
      groups.delete(apiVersion);
      throw new Failure('kubernetes_denied', `The cluster knows no ${kind} of ${apiVersion}`);
    }
    const namespace = resource.namespaced ? `/namespaces/${metadata.namespace ?? 'default'}` : '';
    const query = `fieldManager=${fieldManager}&force=true${options?.dryRun ? '&dryRun=All' : ''}`;
    const path = `${groupPath(apiVersion)}${namespace}/${resource.name}/${metadata.name}?${query}`;
    await cluster('PATCH', path, Anything, object, 'application/apply-patch+yaml');
  };
}

const groupPath = (apiVersion: string) => (apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`);

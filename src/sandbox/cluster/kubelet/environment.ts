import { type Container, fieldOf, type Pod } from './pod.ts';

/** Reads Secrets and ConfigMaps of a pod's namespace, decoded; undefined when one that may be missing is. */
export interface Sources {
  secret(ref: { name: string; optional: boolean }): Promise<Record<string, Buffer> | undefined>;
  configMap(ref: { name: string; optional: boolean }): Promise<Record<string, Buffer> | undefined>;
}

/** A Secret, ConfigMap or key the pod cannot start without. The text is the kubelet's own. */
export class Missing extends Error {}

/**
 * Replaces `$(NAME)` by the variable's value as the kubelet does: `$$` stands for `$`, an unknown name stays as it is
 * written.
 */
export function expand(text: string, variables: Readonly<Record<string, string>>): string {
  return text.replace(/\$\$|\$\(([^)]*)\)/g, (whole, name: string | undefined) =>
    name === undefined ? '$' : Object.hasOwn(variables, name) ? (variables[name] ?? '') : whole,
  );
}

/**
 * A container's own variables: `envFrom` first, then `env` in its order, each able to name those before it.
 *
 * @param given variables that are there already: the image's, the node's
 * @throws Missing when a source or key is not there and may not be missing
 */
export async function environmentOf(
  container: Container,
  pod: Pod,
  sources: Sources,
  given: Readonly<Record<string, string>>,
): Promise<Record<string, string>> {
  const variables: Record<string, string> = { ...given };
  for (const { prefix, secretRef, configMapRef } of container.envFrom) {
    const data = secretRef
      ? await sources.secret(secretRef)
      : configMapRef
        ? await sources.configMap(configMapRef)
        : undefined;
    for (const [key, value] of Object.entries(data ?? {})) variables[prefix + key] = value.toString();
  }
  for (const { name, value, valueFrom } of container.env) {
    const found = valueFrom ? await referred(valueFrom, pod, sources) : expand(value, variables);
    if (found !== undefined) variables[name] = found;
  }
  return variables;
}

async function referred(
  { fieldRef, secretKeyRef, configMapKeyRef }: NonNullable<Container['env'][number]['valueFrom']>,
  pod: Pod,
  sources: Sources,
): Promise<string | undefined> {
  if (fieldRef) return fieldOf(pod, fieldRef.fieldPath);
  const ref = secretKeyRef ?? configMapKeyRef;
  if (ref === undefined) return '';
  const data = secretKeyRef ? await sources.secret(secretKeyRef) : await sources.configMap(ref);
  const value = data?.[ref.key];
  if (value === undefined && data !== undefined && !ref.optional) {
    const kind = secretKeyRef ? 'Secret' : 'ConfigMap';
    throw new Missing(`couldn't find key ${ref.key} in ${kind} ${pod.metadata.namespace}/${ref.name}`);
  }
  return value?.toString();
}

import { z } from 'zod';
import { registerSecret } from '../../../telemetry/secrets.ts';
import type { Api } from './api.ts';
import { Missing, type Sources } from './environment.ts';
import type { Pod } from './pod.ts';

const Base64 = z
  .record(
    z.string(),
    z.base64().transform((text) => Buffer.from(text, 'base64')),
  )
  .default({});
const Secret = z.object({ data: Base64 });
const ConfigMap = z.object({
  data: z
    .record(
      z.string(),
      z.string().transform((text) => Buffer.from(text)),
    )
    .default({}),
  binaryData: Base64,
});
const TokenAnswer = z.object({ status: z.object({ token: z.string() }) });

/** The API server's Secrets and ConfigMaps for one pod. @throws Missing, Failure as `Api.call` */
export function sourcesOf(api: Api, { metadata: { namespace } }: Pod, signal: AbortSignal): Sources {
  const read = async <Schema extends z.ZodType>(
    kind: string,
    schema: Schema,
    ref: { name: string; optional: boolean },
  ) => {
    const path = `/api/v1/namespaces/${namespace}/${kind}s/${ref.name}`;
    const found = await api.call('GET', path, schema, { signal, expected: [404] });
    if (found === undefined && !ref.optional) throw new Missing(`${kind} "${ref.name}" not found`);
    return found;
  };
  return {
    secret: async (ref) => (await read('secret', Secret, ref))?.data,
    configMap: async (ref) => {
      const found = await read('configmap', ConfigMap, ref);
      return found && { ...found.data, ...found.binaryData };
    },
  };
}

/** A token of the pod's ServiceAccount, bound to the pod as the kubelet asks for it. @throws Failure as `Api.call` */
export async function accountToken(
  api: Api,
  { metadata, spec }: Pod,
  { audience, expirationSeconds }: { audience?: string | undefined; expirationSeconds: number },
  signal: AbortSignal,
): Promise<string> {
  const { name, namespace, uid } = metadata;
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${spec.serviceAccountName}/token`;
  const body = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    spec: {
      ...(audience === undefined ? {} : { audiences: [audience] }),
      expirationSeconds,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
    },
  };
  const answer = await api.call('POST', path, TokenAnswer, { body, signal });
  registerSecret(answer?.status.token);
  return answer?.status.token ?? '';
}

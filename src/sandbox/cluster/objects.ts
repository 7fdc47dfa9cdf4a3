import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';
import type { Manifest } from '../apply.ts';
import { PAC_NAMESPACE, PAC_WEBHOOK_PORT } from './identity.ts';

const Metadata = z.looseObject({ name: z.string(), namespace: z.string().optional() });
const KubernetesObject = z.looseObject({ apiVersion: z.string(), kind: z.string(), metadata: Metadata });

export const TEKTON_NAMESPACE = 'tekton-pipelines';
export const RESOLVERS_NAMESPACE = 'tekton-pipelines-resolvers';

/**
 * What Tekton brings: namespaces, kinds, webhooks, settings; no Deployments and no roles, for its programs run beside the
 * cluster as admin.
 *
 * @param config its config/ folder
 * @param webhookPort where its webhook listens on this machine
 */
export function tektonObjects(config: string, webhookPort: number): Manifest[] {
  const files = [
    ...yamlFiles(config, /^100-namespace\//),
    ...yamlFiles(config, /^resolvers\/100-namespace/),
    ...yamlFiles(config, /^300-crds\//),
    ...yamlFiles(config, /^config-/),
    ...yamlFiles(config, /^resolvers\/.*config/),
    ...yamlFiles(config, /^500-webhooks/),
  ];
  return [
    ...files.flatMap(objectsIn).map((object) => atPort(object, webhookPort)),
    outsideService('tekton-pipelines-webhook', TEKTON_NAMESPACE),
  ];
}

/** What Pipelines-as-Code brings, likewise: namespace, Repository kind, settings, webhook. */
export function pacObjects(config: string): Manifest[] {
  return [
    ...yamlFiles(config, /^(100|30\d)-/)
      .flatMap(objectsIn)
      .map((object) => atPort(object, PAC_WEBHOOK_PORT)),
    outsideService('pipelines-as-code-webhook', PAC_NAMESPACE),
  ];
}

function yamlFiles(folder: string, wanted: RegExp): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.yaml') && wanted.test(name))
    .sort()
    .map((name) => join(folder, name));
}

function objectsIn(file: string): Manifest[] {
  return parseAllDocuments(readFileSync(file, 'utf8'))
    .map((document): unknown => document.toJS())
    .filter((content) => content !== null && content !== undefined)
    .map((content) => KubernetesObject.parse(content) as Manifest);
}

const Client = z.looseObject({ service: z.looseObject({ name: z.string() }) });
const Webhooks = z.looseObject({ webhooks: z.array(z.looseObject({ clientConfig: Client })) });
const Converted = z.looseObject({
  spec: z.looseObject({ conversion: z.looseObject({ webhook: z.looseObject({ clientConfig: Client }) }) }),
});

/** The object with the port that its webhook has here; it names the Service alone, which stands for port 443. */
function atPort(object: Manifest, port: number): Manifest {
  const webhooks = Webhooks.safeParse(object).data?.webhooks ?? [];
  const conversion = Converted.safeParse(object).data?.spec.conversion.webhook;
  if (webhooks.length === 0 && conversion === undefined) return object;
  const moved = structuredClone(object);
  const { webhooks: hooks = [], spec } = moved as {
    webhooks?: { clientConfig: z.infer<typeof Client> }[];
    spec?: z.infer<typeof Converted>['spec'];
  };
  for (const hook of hooks) hook.clientConfig.service.port = port;
  if (conversion !== undefined && spec !== undefined) spec.conversion.webhook.clientConfig.service.port = port;
  return moved;
}

/**
 * A Service whose name leads to this machine. Webhook configurations must keep naming a Service, and the API server
 * follows this kind of it without DNS and without kube-proxy (real-cluster.md §2).
 */
function outsideService(name: string, namespace: string): Manifest {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: { type: 'ExternalName', externalName: '127.0.0.1' },
  };
}

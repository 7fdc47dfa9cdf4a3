import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import pLimit from 'p-limit';
import { z } from 'zod';
import { Failure } from '../../errors/failure.ts';
import { applyTo, type Manifest } from '../apply.ts';
import { writePrivate } from '../layout.ts';
import { Anything, type Rest } from '../rest.ts';
import { becomes } from './programs.ts';

const HOOKS = '/apis/admissionregistration.k8s.io/v1';
const Conditions = z.object({
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })) }),
});
const Names = z.object({ items: z.array(z.object({ metadata: z.object({ name: z.string() }) })) });

/**
 * Brings objects into the cluster, once: `mark` remembers which, so that a cluster that has them already starts faster.
 *
 * @throws Failure `process_failed` with what the server says about one it refuses
 */
export async function install(cluster: Rest, objects: readonly Manifest[], mark: string): Promise<void> {
  const key = createHash('sha256').update(JSON.stringify(objects)).digest('hex');
  if (existsSync(mark) && readFileSync(mark, 'utf8') === key) return;
  await withdrawWebhooks(cluster);
  const apply = applyTo(cluster);
  const places = pLimit(8);
  const all = (some: readonly Manifest[]) => Promise.all(some.map((object) => places(() => apply(object))));
  const isKind = ({ kind }: Manifest) => kind === 'CustomResourceDefinition';
  const isNamespace = ({ kind }: Manifest) => kind === 'Namespace';
  await all(objects.filter(isNamespace));
  await all(objects.filter((object) => !isNamespace(object)));
  for (const { metadata } of objects.filter(isKind)) {
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${metadata.name}`;
    await becomes(
      async () =>
        (await cluster('GET', path, Conditions)).status.conditions.some(
          ({ type, status }) => type === 'Established' && status === 'True',
        ),
      { what: `the kind ${metadata.name}` },
    );
  }
  writePrivate(mark, key);
}

/** Webhooks of an earlier installation would be asked about the new objects, and their programs do not run yet. */
async function withdrawWebhooks(cluster: Rest): Promise<void> {
  for (const kind of ['validatingwebhookconfigurations', 'mutatingwebhookconfigurations']) {
    const { items } = await cluster('GET', `${HOOKS}/${kind}`, Names);
    for (const { metadata } of items) await cluster('DELETE', `${HOOKS}/${kind}/${metadata.name}`, Anything);
  }
}

const Hook = z.object({
  webhooks: z.array(
    z.object({ rules: z.array(z.unknown()).min(1), clientConfig: z.object({ caBundle: z.string().min(1) }) }),
  ),
});

/** Passes when the webhook program has written what it wants to be asked and by which certificate it is known. */
export async function webhookTaken(
  cluster: Rest,
  kind: 'validatingwebhookconfigurations' | 'mutatingwebhookconfigurations',
  name: string,
): Promise<void> {
  await cluster('GET', `${HOOKS}/${kind}/${name}`, Hook);
}

const Served = z.object({ items: z.array(z.unknown()) });
const Kinds = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({
        group: z.string(),
        names: z.object({ plural: z.string() }),
        versions: z.array(z.object({ name: z.string(), storage: z.boolean() })),
        conversion: z
          .object({ webhook: z.object({ clientConfig: z.object({ caBundle: z.string().optional() }) }).optional() })
          .optional(),
      }),
    }),
  ),
});

/**
 * Passes when the webhook program has given every kind the certificate of its conversion and all kinds can be listed:
 * each change of a kind makes the server answer 429 for it for a moment ("storage is (re)initializing").
 *
 * @throws Failure `process_failed` while it is not so
 */
export async function kindsServed(cluster: Rest): Promise<void> {
  const { items } = await cluster('GET', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', Kinds);
  for (const { metadata, spec } of items) {
    const client = spec.conversion?.webhook?.clientConfig;
    if (client !== undefined && !client.caBundle) {
      throw new Failure('process_failed', `The webhook has not taken up ${metadata.name} yet`);
    }
    const version = spec.versions.find(({ storage }) => storage)?.name;
    await cluster('GET', `/apis/${spec.group}/${version}/${spec.names.plural}?limit=1`, Served);
  }
}

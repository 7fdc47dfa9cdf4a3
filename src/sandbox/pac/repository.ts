import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { registerSecret } from '../../telemetry/secrets.ts';
import { secretValue } from '../kubernetes/fields.ts';
import { RESOURCES } from '../kubernetes/object.ts';
import { badRequest } from '../kubernetes/refusal.ts';
import type { Review, Store } from '../kubernetes/store.ts';

const SecretKey = (key: string) => z.object({ name: z.string(), key: z.string().default(key) });

const Spec = z.looseObject({
  url: z.string(),
  concurrency_limit: z.number().int().positive().optional(),
  git_provider: z.looseObject({
    /** Must be set: without it the real watcher now and then calls gitlab.com (real-cluster.md §5.4). */
    url: z.string(),
    secret: SecretKey('provider.token'),
    webhook_secret: SecretKey('webhook.secret'),
  }),
  params: z.array(z.object({ name: z.string(), value: z.string().default('') })).default([]),
  settings: z
    .looseObject({ pipelinerun_provenance: z.enum(['source', 'default_branch']).default('source') })
    .prefault({}),
});

/** A Repository object, understood, with its secrets read. */
export interface Repository {
  name: string;
  namespace: string;
  url: string;
  gitlabUrl: string;
  token: string;
  webhookSecret: string;
  concurrencyLimit: number | undefined;
  params: ReadonlyMap<string, string>;
  provenance: 'source' | 'default_branch';
}

/** The Repository for a project's web URL, from any namespace; undefined when none is registered or its secrets are missing. */
export function repositoryFor(store: Store, url: string): Repository | undefined {
  const plain = (text: string) => text.replace(/\/$/, '');
  for (const { metadata, spec } of store.list(RESOURCES.repositories)) {
    const parsed = Spec.safeParse(spec);
    if (!parsed.success || plain(parsed.data.url) !== plain(url)) continue;
    const { git_provider: provider, concurrency_limit: concurrencyLimit, params, settings } = parsed.data;
    const read = ({ name, key }: { name: string; key: string }) =>
      secretValue(store.find(RESOURCES.secrets, { namespace: metadata.namespace, name }), key);
    const [token, webhookSecret] = [read(provider.secret), read(provider.webhook_secret)];
    if (token === undefined || webhookSecret === undefined) return undefined;
    registerSecret(token);
    registerSecret(webhookSecret);
    return {
      name: metadata.name,
      namespace: metadata.namespace ?? '',
      url: parsed.data.url,
      gitlabUrl: provider.url,
      token: token.trim(),
      webhookSecret: webhookSecret.trim(),
      concurrencyLimit,
      params: new Map(params.filter(({ value }) => value !== '').map(({ name, value }) => [name, value])),
      provenance: settings.pipelinerun_provenance,
    };
  }
  return undefined;
}

/** Compares in constant time; a missing header never fits. */
export function secretFits(sent: string | undefined, secret: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return sent !== undefined && timingSafeEqual(digest(sent), digest(secret));
}

/** Pipelines-as-Code's webhook: one Repository per URL in the whole cluster, http(s) only (real-cluster.md §5.1). */
export function admitRepository(store: Store): (review: Review) => void {
  const denied = (why: string) =>
    badRequest(`admission webhook "validation.pipelinesascode.tekton.dev" denied the request: ${why}`);
  return ({ resource, object }) => {
    if (resource !== RESOURCES.repositories) return;
    const parsed = z.looseObject({ url: z.string() }).safeParse(object.spec);
    if (!parsed.success) throw denied('URL must be set');
    const { url } = parsed.data;
    if (!/^https?:\/\//.test(url)) throw denied('URL scheme must be http or https');
    const other = store
      .list(RESOURCES.repositories)
      .some(({ metadata, spec }) => (spec as { url?: string }).url === url && metadata.uid !== object.metadata.uid);
    if (other) throw denied(`repository already exists with URL: ${url}`);
  };
}

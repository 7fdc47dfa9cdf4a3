import type { Call } from './call.ts';
import { continueExpired } from './history.ts';
import { apiVersionOf, type KubeObject, type Resource } from './object.ts';
import { badRequest, Refusal } from './refusal.ts';
import { fieldSelector, labelSelector, type Matches } from './selector.ts';
import { keyOf, referenceOf, type Store } from './store.ts';

/** Both selectors of a call as one predicate. @throws Refusal 400 */
export function selection({ query, name }: Call): Matches {
  const labels = labelSelector(query.get('labelSelector') ?? '');
  const fields = fieldSelector(query.get('fieldSelector') ?? (name === undefined ? '' : `metadata.name=${name}`));
  return (object) => labels(object) && fields(object);
}

/** A resource version as clients give it back. @throws Refusal 400 for what this server never gave out */
export function versionOf(text: string): number {
  if (!/^\d+$/.test(text))
    throw badRequest(
      `invalid resource version: resourceVersion: Invalid value: "${text}": strconv.ParseUint: parsing "${text}": invalid syntax`,
    );
  return Number(text);
}

/** @throws Refusal 400 */
function limitOf(text: string): number {
  if (!/^-?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing "${text}": invalid syntax`);
  return Number(text);
}

interface Page {
  version: number;
  /** Key of the last object of the page before. */
  after: string;
}

/**
 * The list of a call: selectors, `limit` and `continue` (all pages of one list show the same moment),
 * `resourceVersionMatch=Exact` (real-cluster.md §2).
 *
 * @throws Refusal 400 (bad selector, version or continue), 410 (version or page forgotten), 504 (version of the future)
 */
export function list(store: Store, resource: Resource, call: Call): Record<string, unknown> {
  const { query, namespace } = call;
  const limit = limitOf(query.get('limit') ?? '0');
  const page = pageOf(query.get('continue'));
  const matches = selection(call);
  const asked = versionOf(query.get('resourceVersion') || '0');
  if (asked > store.version) {
    throw new Refusal(504, 'Timeout', `Timeout: Too large resource version: ${asked}, current: ${store.version}`, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version', field: '' }],
      retryAfterSeconds: 1,
    });
  }
  const exact = query.get('resourceVersionMatch') === 'Exact' && asked > 0 ? asked : undefined;
  const version = page?.version ?? exact ?? store.version;
  const all = snapshot(store, resource, namespace, version, page).filter(matches);
  const rest = page === undefined ? all : all.filter((object) => keyOf(referenceOf(object)) > page.after);
  const items = limit > 0 ? rest.slice(0, limit) : rest;
  const last = items.at(-1);
  const more = items.length < rest.length && last !== undefined;
  return {
    apiVersion: apiVersionOf(resource),
    kind: `${resource.kind}List`,
    metadata: {
      resourceVersion: String(version),
      ...(more ? { continue: encode({ version, after: keyOf(referenceOf(last)) }) } : {}),
      // The server does not count what a selector leaves out, so it gives no count then.
      ...(more && !query.get('labelSelector') && !query.get('fieldSelector')
        ? { remainingItemCount: rest.length - items.length }
        : {}),
    },
    items,
  };
}

function snapshot(
  store: Store,
  resource: Resource,
  namespace: string | undefined,
  version: number,
  page: Page | undefined,
): KubeObject[] {
  try {
    return store.list(resource, namespace, version);
  } catch (thrown) {
    if (page !== undefined && thrown instanceof Refusal && thrown.code === 410) throw continueExpired();
    throw thrown;
  }
}

const encode = ({ version, after }: Page) =>
  Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv: version, start: after })).toString('base64url');

function pageOf(token: string | null): Page | undefined {
  if (!token) return undefined;
  try {
    const { v, rv, start } = JSON.parse(Buffer.from(token, 'base64url').toString());
    if (v === 'meta.k8s.io/v1' && typeof rv === 'number' && typeof start === 'string')
      return { version: rv, after: start };
  } catch {
    // refused below, like every token that is not ours
  }
  throw badRequest('invalid continue token: continue key is not valid: invalid character');
}

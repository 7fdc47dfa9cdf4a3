import { RESOURCES } from './object.ts';
import { Refusal } from './refusal.ts';
import type { Store } from './store.ts';

/**
 * Gives each new namespace its `default` ServiceAccount, a moment later, as the controller manager of a cluster does.
 *
 * @returns ends it
 */
export function giveDefaultAccounts(store: Store): () => void {
  let over = false;
  const end = store.subscribe(({ type, resource, object }) => {
    if (type !== 'ADDED' || resource !== RESOURCES.namespaces) return;
    setImmediate(() => {
      if (!over) give(store, object.metadata.name);
    });
  });
  return () => {
    over = true;
    end();
  };
}

function give(store: Store, namespace: string): void {
  try {
    store.create(RESOURCES.serviceaccounts, { metadata: { name: 'default', namespace } });
  } catch (thrown) {
    // Somebody else was first, or the namespace has gone.
    if (!(thrown instanceof Refusal)) throw thrown;
  }
}

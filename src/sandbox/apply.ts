import { type Apply, applyTo as applyAs } from '../onboarding/apply.ts';
import type { Rest } from './rest.ts';

export type { Manifest } from '../onboarding/apply.ts';

/** Server-side apply as the sandbox; see `src/onboarding/apply.ts` for its failures. */
export function applyTo(cluster: Rest): Apply {
  return applyAs(cluster, 'indexwright-sandbox');
}

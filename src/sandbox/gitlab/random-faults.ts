import type { CallFault } from './call-fault.ts';
import { seededRandom } from './random.ts';
import { CALLS, findRefusal } from './refusals.ts';
import type { Release } from './release.ts';

/** What goes wrong with a call, or undefined. The path has its query. */
export type RandomFault = (method: string, path: string) => CallFault | undefined;

/** Any kind fits any call but these, which GitLab has for changes alone. */
const KINDS = ['rate-limit', 'rate-limit-application', 'bad-gateway', 'lost', 'cut', 'cut-late', 'closed'] as const;

/** A share of the calls goes wrong, one kind as often as another; see `Faults.random`. */
export function randomFaults(release: Release, seed: number, share: number): RandomFault {
  const random = seededRandom(seed);
  return (method, path) => {
    const [strikes, kind] = [random() < share, KINDS[Math.floor(random() * KINDS.length)] ?? 'cut'];
    if (!strikes) return undefined;
    switch (kind) {
      case 'lost':
        return of({ ...answerOf(release, 'bad-gateway'), when: 'after' });
      case 'cut':
        return of({ answer: 'drop' });
      case 'cut-late':
        return of({ answer: 'drop', when: 'after' });
      case 'closed': {
        if (CALLS.push.path.test(path)) return of(answerOf(release, 'push-repository-read-only'));
        return method === 'GET' || path.includes('/git-') ? undefined : of(answerOf(release, 'maintenance'));
      }
      default:
        return of(answerOf(release, kind));
    }
  };
}

const of = (fault: Omit<CallFault, 'path'>): CallFault => ({ ...fault, path: /./ });

/** The row as an answer; nobody is asked to wait longer than a moment. */
function answerOf(release: Release, name: string): Pick<CallFault, 'answer'> {
  const { answer } = findRefusal(release, name);
  if (!('status' in answer)) throw new Error(`the refusal ${name} is no answer`);
  const { headers = {}, ...rest } = answer;
  const soon = 'Retry-After' in headers ? { 'Retry-After': '0' } : {};
  return { answer: { ...rest, headers: { ...headers, ...soon } } };
}

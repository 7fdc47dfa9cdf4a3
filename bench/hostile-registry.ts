/**
 * Reads from each hostile registry (test/registry/hostile-cases.ts) in a process of its own: what became of it, how long
 * it took, the peak of its memory and the longest turn of its event loop in CPU time. `node bench/hostile-registry.ts [NAME…]`
 */
import { readHostile } from '../test/registry/hostile.ts';
import { HOSTILE } from '../test/registry/hostile-cases.ts';

const only = process.argv.slice(2);
const cases = HOSTILE.filter(({ name }) => only.length === 0 || only.includes(name));
console.log('| Registry | Outcome | ms | MiB | longest turn, CPU ms |\n|---|---|---|---|---|');
const worst = { peak: 0, longestTurn: 0 };
for (const hostile of cases) {
  const { outcomes, times, peak, longestTurn } = await readHostile([hostile]);
  worst.peak = Math.max(worst.peak, peak);
  worst.longestTurn = Math.max(worst.longestTurn, longestTurn);
  const [outcome = ''] = outcomes;
  const expected = hostile.outcomes.includes(outcome) ? '' : ` (expected: ${hostile.outcomes.join(', ')})`;
  console.log(`| ${hostile.name} | ${outcome}${expected} | ${times[0]} | ${peak} | ${longestTurn} |`);
}
console.log(`\n${cases.length} registries; at most ${worst.peak} MiB, longest turn ${worst.longestTurn} ms of CPU`);

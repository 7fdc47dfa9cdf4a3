import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SOAK } from '../support/soak.ts';
import { migrated } from './support/opm-alone.ts';
import { expectRefusal, INDEX_JSON, realOperators, type TwinIndex, twinIndex } from './support/twin-index.ts';
import { noRealBundles, type World, world } from './support/world.ts';

const noSoak = SOAK ? noRealBundles : 'soak is asked for by INDEXWRIGHT_SOAK=1';
const HOUR = 3_600_000;

/** A bundle that opm takes only together with later ones, because these make the default channel it names. */
const WAITS = /^unable to determine default channel among channel heads/;

/**
 * All bundles of all operators. In each round every operator offers its next version, after those that wait; opm alone
 * decides whether it is taken. What it takes goes to the service in one request for all operators, what it refuses in one
 * of its own.
 */
describe.skipIf(noSoak).for([
  { ocp: 'v4.19', opm: 'opm-v1.48.0' },
  { ocp: 'v4.21', opm: 'opm-v1.73.0' },
])(noSoak || 'all real operators with $opm', { timeout: 3 * HOUR }, ({ ocp, opm }) => {
  let w: World;
  let twin: TwinIndex;
  beforeAll(async () => {
    w = await world();
    twin = await twinIndex(w, { ref: `catalogs/soak:${ocp}`, ocp, opm });
  });
  afterAll(() => w?.close());

  test('version by version', async () => {
    const operators = [...realOperators(JSON.parse(readFileSync(INDEX_JSON, 'utf8')))].map(([name, operator]) => ({
      name,
      package: operator.package,
      ahead: [...operator.versions],
      waiting: [] as string[],
    }));
    for (let round = 1; operators.some(({ ahead }) => ahead.length > 0); round += 1) {
      const taken: string[] = [];
      const touched: string[] = [];
      for (const operator of operators) {
        const version = operator.ahead.shift();
        if (version === undefined) continue;
        const offer = [...operator.waiting, await w.bundle(operator.name, version)];
        const said = await twin.alone.add(offer);
        if (said === null) {
          taken.push(...offer);
          touched.push(operator.package);
          operator.waiting = [];
        } else {
          if (WAITS.test(said)) operator.waiting = offer;
          if (offer.length === 1) expectRefusal(await w.end(await twin.request(offer)), said);
        }
      }
      console.log(`round ${round}: ${touched.length} operators, ${taken.length} bundles`);
      if (taken.length > 0) await twin.add({ bundles: taken, touched, theirs: async () => {} });
    }
    await twin.database('shared', async (path) => {
      const theirs = await migrated(w, opm, path);
      expect(await twin.catalogs([...theirs.keys()])).toEqual(Object.fromEntries(theirs));
    });
  });
});

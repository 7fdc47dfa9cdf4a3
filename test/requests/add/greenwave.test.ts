import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { Config } from '../../../src/config/schema.ts';
import type { ResolvedBundle } from '../../../src/requests/add/bundles.ts';
import { assertGatingPassed } from '../../../src/requests/add/greenwave.ts';
import type { Reading } from '../../../src/requests/work.ts';
import { type Greenwave, startGreenwave } from '../../../src/sandbox/greenwave.ts';
import { freePort } from '../../../src/sandbox/ports.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { testConfig } from '../../support/config.ts';

let greenwave: Greenwave;
beforeEach(async () => {
  greenwave = await startGreenwave();
});
afterEach(() => greenwave.close());

const gate = { queue: 'gated', decisionContext: 'release', productVersion: 'cvp', subjectType: 'koji_build' } as const;
const bundle = (name: string, labels: Record<string, string> = {}): ResolvedBundle => ({
  spec: `reg.example.com/ops/${name}:1`,
  resolved: `reg.example.com/ops/${name}@sha256:${'a'.repeat(64)}`,
  labels: { 'com.redhat.component': `${name}-container`, version: '1.2.3', release: '4', ...labels },
});

function asked(
  bundles: ResolvedBundle[],
  {
    user = 'gated@EXAMPLE.COM',
    ...change
  }: Partial<Pick<Config, 'greenwaveUrl' | 'gates'>> & { user?: string | null } = {},
) {
  const { config, remove } = testConfig('postgres://none', {
    userToQueue: { 'gated@EXAMPLE.COM': 'gated', 'free@EXAMPLE.COM': 'free' },
    greenwaveUrl: `${greenwave.url}/`,
    gates: [gate],
    deadlines: { patience: 1500 },
    ...change,
  });
  remove();
  const reading = { config, log: createLog('silent', 'test'), signal: new AbortController().signal };
  return assertGatingPassed(bundles, {
    ...(reading as unknown as Reading),
    user,
    overwrites: false,
    index: 'reg.example.com/index:v4.19',
  });
}

describe('gating by Greenwave', () => {
  test('asks for each bundle by its build and lets satisfied ones pass', async () => {
    await asked([bundle('webapp'), bundle('cachectl')]);
    expect(greenwave.asked).toEqual([
      {
        decision_context: 'release',
        product_version: 'cvp',
        subject_type: 'koji_build',
        subject_identifier: 'webapp-container-1.2.3-4',
      },
      expect.objectContaining({ subject_identifier: 'cachectl-container-1.2.3-4' }),
    ]);
  });

  test('names all refused bundles and each test case once', async () => {
    greenwave.lack('webapp-container-1.2.3-4', ['signed', 'scanned']);
    greenwave.lack('cachectl-container-1.2.3-4', ['scanned', 'reviewed']);
    const [webapp, fine, cachectl] = [bundle('webapp'), bundle('fine'), bundle('cachectl')];
    await expect(asked([webapp, fine, cachectl])).rejects.toThrow(
      `Unsatisfied Greenwave policy for ${webapp.resolved}, ${cachectl.resolved} with decision_context: release, product_version: cvp, subject_type: koji_build and test cases: signed, scanned, reviewed`,
    );
  });

  test.each([null, 'free@EXAMPLE.COM'])('does not ask for requests of %s, whose queue has no gate', async (user) => {
    await asked([bundle('webapp')], { user });
    expect(greenwave.asked).toEqual([]);
  });

  test('the default queue can have a gate', async () => {
    await asked([bundle('webapp')], { user: null, gates: [{ ...gate, queue: null }] });
    expect(greenwave.asked).toHaveLength(1);
  });

  test('a bundle that does not say which build it is', async () => {
    const unnamed = bundle('webapp', { release: '' });
    await expect(asked([unnamed])).rejects.toThrow(
      `The bundle ${unnamed.resolved} has no label release, which gating by Greenwave needs`,
    );
  });

  test('a refusal of the question is told at once, with its reason', async () => {
    greenwave.failNext(400, '{"message":"unknown product version"}');
    await expect(asked([bundle('webapp')])).rejects.toThrow(/^Gating check failed for \S+: unknown product version$/);
    expect(greenwave.asked).toHaveLength(1);
  });

  test('an answer that decides nothing', async () => {
    greenwave.failNext(200, 'it works');
    await expect(asked([bundle('webapp')])).rejects.toThrow(
      /^Key "policies_satisfied" missing in Greenwave response for /,
    );
  });

  test('a passing failure is tried again', async () => {
    greenwave.failNext(503, 'busy', 2);
    await asked([bundle('webapp')]);
    expect(greenwave.asked).toHaveLength(3);
  });

  test('unreachable is told apart from "no"', async () => {
    const refused = asked([bundle('webapp')], { greenwaveUrl: `http://127.0.0.1:${await freePort()}/api/v1.0` });
    await expect(refused).rejects.toMatchObject({
      code: 'gating_unavailable',
      message: expect.stringMatching(/^Gating check failed for .*: connect ECONNREFUSED/),
    });
  });

  test('a gate without Greenwave', async () => {
    const config = Config.parse({ ...testConfig('postgres://none').config, greenwaveUrl: undefined });
    expect(config.greenwaveUrl).toBeUndefined();
    await expect(asked([bundle('webapp')], { greenwaveUrl: undefined as never })).rejects.toThrow(
      'IIB is not configured to handle gating of bundles',
    );
  });
});

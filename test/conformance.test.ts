import { expect, inject, test } from 'vitest';
import { KIT, kitIsThere, PROFILES, runConformance } from './support/conformance.ts';

const STEPS = { main: 2963, open: 143, expired: 24 };

test.skipIf(!kitIsThere()).each(PROFILES)(
  kitIsThere() ? 'answers as recorded, profile %s' : `skipped, profile %s: no conformance kit at ${KIT}`,
  async (profile) => {
    const { passed, failed, output, contradictions } = await runConformance(inject('postgresUrl'), profile);
    expect(contradictions).toEqual([]);
    expect(output).not.toContain('FAIL');
    expect({ passed, failed }).toEqual({ passed: STEPS[profile], failed: 0 });
  },
  600_000,
);

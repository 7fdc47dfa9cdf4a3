import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { pushBundleImage } from '../../src/sandbox/bundle-image.ts';
import { SOAK } from '../support/soak.ts';
import { ADDED } from './support/proof.ts';
import { View, type World, world } from './support/world.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 });

const LIGHTHOUSE = resolve(import.meta.dirname, '../../examples/bundles/lighthouse/1.2.0');
const COUNT = SOAK ? 30 : 6;

let w: World;
beforeAll(async () => {
  w = await world();
});
afterAll(() => w?.close());

/** Bundles of a new operator, by digest: each replaces the one before it. */
async function chainOf(name: string, count: number): Promise<string[]> {
  const client = await w.sandbox.registryClient();
  const bundles: string[] = [];
  for (let minor = 0; minor < count; minor += 1) {
    const dir = mkdtempSync(join(tmpdir(), 'indexwright-chain-'));
    try {
      cpSync(LIGHTHOUSE, dir, { recursive: true });
      for (const file of readdirSync(dir, { recursive: true, encoding: 'utf8' })) {
        if (!file.endsWith('yaml')) continue;
        const text = readFileSync(join(dir, file), 'utf8')
          .replaceAll('lighthouse.v1.2.0', `lighthouse.v1.${minor}.0`)
          .replace('version: 1.2.0', `version: 1.${minor}.0`)
          .replace(/ +olm\.skipRange.*\n/, '')
          .replace(/ +replaces:.*\n/, minor === 0 ? '' : `  replaces: lighthouse.v1.${minor - 1}.0\n`)
          .replace('channels.v1: fast', 'channels.v1: stable')
          .replaceAll('lighthouse', name);
        writeFileSync(join(dir, file), text);
      }
      const ref = `${w.sandbox.at.registry}/examples/${name}-bundle:v1.${minor}.0`;
      bundles.push(await pushBundleImage(client, { bundleDir: dir, ref }));
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  }
  return bundles;
}

const expectComplete = async (requests: Pick<View, 'id'>[]) => {
  const ended = [];
  for (const request of requests) ended.push(await w.end(request));
  expect(ended.map(({ state, state_reason: reason }) => ({ state, reason }))).toEqual(
    requests.map(() => ({ state: 'complete', reason: ADDED })),
  );
};

describe('adds of which each replaces the bundle of the one before', () => {
  test(`${COUNT} sent one after the other without waiting: all are complete`, async () => {
    const bundles = await chainOf('ferry', COUNT);
    const requests: View[] = [];
    for (const bundle of bundles) requests.push(await w.add({ bundles: [bundle] }));
    await expectComplete(requests);
  });

  test(`${COUNT} sent as one batch: all are complete`, async () => {
    const bundles = await chainOf('buoy', COUNT);
    const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/add-rm-batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        build_requests: bundles.map((bundle) => ({
          from_index: w.sandbox.seeded.fromIndex,
          bundles: [bundle],
          overwrite_from_index: true,
          overwrite_from_index_token: `release:${w.sandbox.layout.identity.registryUsers.release}`,
        })),
      }),
    });
    expect(answer.status).toBe(201);
    await expectComplete(z.array(View).parse(await answer.json()));
  });
});

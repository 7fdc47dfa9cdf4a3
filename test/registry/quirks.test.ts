import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asFailure } from '../../src/errors/failure.ts';
import { noCredentials, withAuths } from '../../src/registry/auth.ts';
import { createRegistryClient } from '../../src/registry/client.ts';
import { digestOfBytes } from '../../src/registry/digest.ts';
import { SOAK } from '../support/soak.ts';
import { skopeo } from './fixtures.ts';
import { MANIFEST, type QuirkRegistry, startQuirkRegistry, USER } from './quirk-registry.ts';
import { CHALLENGES, HEADS, type Quirk, REDIRECTS, TABLE, TOKENS } from './quirk-table.ts';

let registry: QuirkRegistry;
beforeAll(async () => {
  registry = await startQuirkRegistry();
});
afterAll(() => registry.close());

/** What becomes of reading an image's digest and labels: `read`, or the failure's code. */
async function oursReads({ quirks, anonymous }: Quirk): Promise<string> {
  registry.quirks = quirks;
  const { host } = registry;
  const auth = anonymous
    ? noCredentials
    : withAuths(noCredentials, { [host]: { auth: Buffer.from(USER).toString('base64') } });
  const client = createRegistryClient({ auth, insecure: [host], callTimeout: 20_000 });
  try {
    await client.resolve(`${host}/ns/image:tag`);
    const labels = await client.labels(`${host}/ns/image:tag`);
    return labels.quirk === 'yes' ? 'read' : 'read something else';
  } catch (thrown) {
    return asFailure(thrown).code;
  }
}

async function skopeoReads({ quirks, anonymous }: Quirk): Promise<boolean> {
  registry.quirks = quirks;
  const how = anonymous ? ['--no-creds'] : ['--creds', USER];
  try {
    const said = await skopeo(
      ...['inspect', '--no-tags', '--tls-verify=false', ...how],
      `docker://${registry.host}/ns/image:tag`,
    );
    return said.includes('"quirk": "yes"');
  } catch {
    return false;
  }
}

describe.each(Object.entries(TABLE))('%s', (_, quirks) => {
  test.each(quirks.map((quirk) => [quirk.name, quirk] as const))('%s', async (_name, quirk) => {
    expect({ ours: await oursReads(quirk), skopeo: await skopeoReads(quirk) }).toEqual({
      ours: quirk.ours,
      skopeo: quirk.skopeo?.reads ?? quirk.ours === 'read',
    });
    // A difference has its reason in the table, and there are no reasons without a difference.
    expect(quirk.skopeo?.reads).not.toBe(quirk.ours === 'read');
  });
});

test('a digest that HEAD tells is believed, so that a tag is one call', async () => {
  registry.quirks = {};
  registry.calls.length = 0;
  const client = createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 20_000 });
  expect(await client.digestOf(`${registry.host}/ns/image:tag`)).toBe(digestOfBytes(MANIFEST));
  expect(registry.calls).toEqual(['HEAD /v2/ns/image/manifests/tag']);
});

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

test('quirks together: the first one that stops a read decides', { timeout: 3600_000 }, async () => {
  const random = seeded(12);
  const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  const challenges = CHALLENGES.filter(({ anonymous }) => anonymous === undefined);
  const every = challenges.flatMap((challenge) =>
    TOKENS.flatMap((token) => REDIRECTS.map((blob) => ({ challenge, token, blob, head: oneOf(HEADS) }))),
  );
  const some = SOAK ? every : Array.from({ length: 150 }, () => oneOf(every));
  const wrong: object[] = [];
  for (const { challenge, head, token, blob } of some) {
    const quirks = {
      ...challenge.quirks,
      ...head.quirks,
      ...blob.quirks,
      ...(token.quirks.token === undefined ? {} : { token: token.quirks.token }),
    };
    registry.calls.length = 0;
    const ours = await oursReads({ name: '', quirks, ours: 'read' });
    const askedForToken = registry.calls.some((call) => call.includes(' /token'));
    const expected =
      [challenge.ours, askedForToken ? token.ours : 'read', blob.ours].find((one) => one !== 'read') ?? 'read';
    if (ours !== expected)
      wrong.push({ names: [challenge, head, token, blob].map(({ name }) => name), ours, expected });
  }
  expect(wrong).toEqual([]);
});

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { fbcOperations } from '../../../src/requests/fbc-operations/change.ts';
import { pushFragmentImage } from '../../../src/sandbox/fragment-image.ts';
import { type ReadingWorld, readingWorld } from '../workshop.ts';

let world: ReadingWorld;
beforeAll(async () => {
  world = await readingWorld();
});
afterAll(() => world?.close());

test('fragments are read as the service, never with the token of the index (H20)', async () => {
  const fbcDir = join(world.shop.scratch, 'fragment');
  await mkdir(join(fbcDir, 'beacon'), { recursive: true });
  await writeFile(join(fbcDir, 'beacon', 'catalog.json'), '{}');
  const { host } = world.registry;
  const fragment = `${host}/fragment:v1`;
  await pushFragmentImage(world.client, { fbcDir, ref: fragment });
  const payload = {
    from_index: `${host}/index:v4.19`,
    binary_image: null,
    distribution_scope: null,
    build_tags: [],
    add_arches: [],
    overwrite_from_index: true,
    fbc_fragments: [fragment],
    fbc_fragment: null,
  };
  await expect(fbcOperations.change({ id: 1, user: null, payload }, world.shop)).rejects.toMatchObject({
    code: 'registry_denied',
    message: expect.stringContaining(payload.from_index),
  });
  expect(world.reasons).toEqual(['Resolving the fbc fragments', 'Resolving the container images']);
});

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { queueOf, UserToQueue, unknownQueues } from '../../src/config/queues.ts';

const kit = join(process.env.INDEXWRIGHT_SHARED ?? resolve(import.meta.dirname, '../../../shared'), 'conformance');
const noKit = existsSync(kit) ? false : `the conformance kit is not at ${kit}`;

const Payload = z.looseObject({ from_index: z.string().nullish(), overwrite_from_index: z.boolean().nullish() });
const Row = z.object({
  user: z.string().nullish(),
  route: z.string(),
  payload: Payload,
  queues: z.array(z.string().nullable()),
});

describe('queueOf', () => {
  test.skipIf(noKit !== false)(`chooses as IIB chose for add and rm${noKit ? ` (skipped: ${noKit})` : ''}`, () => {
    const service = z
      .object({ common: z.object({ user_to_queue: UserToQueue }) })
      .parse(parse(readFileSync(join(kit, 'service.yaml'), 'utf8')));
    const { rows } = z.object({ rows: z.array(Row) }).parse(JSON.parse(readFileSync(join(kit, 'queues.json'), 'utf8')));
    const single = rows.filter(({ route }) => ['add', 'rm', 'fbc-operations', 'add-deprecations'].includes(route));
    expect(single.length).toBeGreaterThan(20);
    for (const { user = null, payload, queues } of single) {
      const request = {
        user,
        overwrites: payload.overwrite_from_index ?? false,
        index: payload.from_index ?? null,
      };
      expect([queueOf(service.common.user_to_queue, request)], JSON.stringify(request)).toEqual(queues);
    }
  });

  test('finds gates of queues that nobody has', () => {
    const gate = (queue: string | null) =>
      ({ queue, decisionContext: 'a', productVersion: 'b', subjectType: 'koji_build' }) as const;
    const queues = { someone: 'one', other: { all: 'two', 'reg.example.com/index:v1': 'three' } };
    expect(unknownQueues(queues, [gate('one'), gate('three'), gate(null), gate('four')])).toEqual(['four']);
  });
});

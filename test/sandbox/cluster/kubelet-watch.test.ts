import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { connectNode } from '../../../src/sandbox/cluster/kubelet/api.ts';
import { follow } from '../../../src/sandbox/cluster/kubelet/watch.ts';
import { createLog } from '../../../src/telemetry/log.ts';
import { cluster, RUNS, tenant } from '../kubernetes/cluster.ts';

const Named = z.object({ metadata: z.object({ name: z.string() }) });

/** Waits double up to two seconds. */
const LONG = { timeout: 20_000 };

test('a watch goes on over its end, over an expired version and over a server that is away', async () => {
  const world = await cluster();
  onTestFinished(() => world.stop());
  await tenant(world);
  const { kubernetes } = world;
  const api = connectNode({ server: kubernetes.url, ca: kubernetes.caPem, token: kubernetes.access.admin });
  onTestFinished(() => api.close());
  const seen: string[] = [];
  const names = (all: z.infer<typeof Named>[]) => all.map(({ metadata }) => metadata.name).join('+');
  const closing = new AbortController();
  const following = follow(
    api,
    RUNS,
    Named,
    {
      listed: (all) => void seen.push(`list ${names(all)}`),
      changed: (one) => void seen.push(`changed ${names([one])}`),
      deleted: (one) => void seen.push(`deleted ${names([one])}`),
    },
    { signal: closing.signal, log: createLog('silent', 'test') },
  );
  const watching = () => expect.poll(() => kubernetes.faults.eachWatch(() => {}, 'pipelineruns'), LONG).toBe(1);

  await world.call('POST', RUNS, world.run('a'));
  await expect.poll(() => seen.splice(0).join(), LONG).toMatch(/list a|changed a/);
  await watching();
  kubernetes.faults.eachWatch((open) => open.end());
  await watching();
  await world.call('POST', RUNS, world.run('b'));
  // No second list.
  await expect.poll(() => seen, LONG).toEqual(['changed b']);

  kubernetes.faults.inject({ verb: 'watch' }, { kind: 'status', status: 503 }, 2);
  kubernetes.faults.eachWatch((open) => open.reset());
  await expect.poll(() => seen.at(-1), LONG).toBe('list a+b');
  await watching();
  seen.length = 0;
  await world.call('DELETE', `${RUNS}/a`);
  await expect.poll(() => seen, LONG).toEqual(['deleted a']);

  // The watch ends, and what it would go on from is forgotten meanwhile.
  kubernetes.faults.inject({ verb: 'watch' }, { kind: 'delay', milliseconds: 200 });
  kubernetes.faults.eachWatch((open) => open.end());
  await world.call('POST', RUNS, world.run('c'));
  kubernetes.store.history.compact();
  await expect.poll(() => seen.at(-1), LONG).toMatch(/^list b\+c$|^changed c$/);
  closing.abort();
  await following;
});

test('calls: refusals that were expected, those that were not, and a server that is not there', async () => {
  const world = await cluster();
  const { url: server, caPem: ca, access } = world.kubernetes;
  const api = connectNode({ server, ca, token: access.admin });
  expect(await api.call('GET', '/api/v1/namespaces/none', z.unknown(), { expected: [404] })).toBeUndefined();
  await expect(api.call('GET', '/api/v1/namespaces/none', z.unknown())).rejects.toMatchObject({
    code: 'kubernetes_denied',
    message: expect.stringContaining('namespaces "none" not found'),
  });
  const anonymous = connectNode({ server, ca, token: 'a-token-of-nobody' });
  await expect(anonymous.call('GET', '/api/v1/pods', z.unknown())).rejects.toThrow('401');
  // A body of DELETE has its length: the next call on the same connection is understood.
  await world.call('POST', '/api/v1/namespaces', { metadata: { name: 'brief' } });
  await api.call('DELETE', '/api/v1/namespaces/brief', z.unknown(), { body: { propagationPolicy: 'Background' } });
  expect(await api.call('GET', '/api/v1/namespaces', z.object({ kind: z.string() }))).toEqual({
    kind: 'NamespaceList',
  });
  await world.stop();
  await expect(api.call('GET', '/api/v1/pods', z.unknown())).rejects.toMatchObject({ code: 'kubernetes_unavailable' });
  await Promise.all([api.close(), anonymous.close()]);
});

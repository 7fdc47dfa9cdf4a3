import { afterAll, beforeAll, expect, test } from 'vitest';
import { RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { cluster, tenant } from './cluster.ts';

let world: Awaited<ReturnType<typeof cluster>>;
let uid: string;
const LOG = '/api/v1/namespaces/tenant/pods/p/log';
beforeAll(async () => {
  world = await cluster();
  await tenant(world);
  const pod = world.kubernetes.store.create(RESOURCES.pods, {
    metadata: { name: 'p', namespace: 'tenant' },
    spec: { containers: [{ name: 'step-a' }, { name: 'step-b' }] },
  });
  uid = pod.metadata.uid;
});
afterAll(() => world.stop());

test('logs are read by container, whole, by lines or bytes', async () => {
  const { logs } = world.kubernetes;
  logs.begin(uid, 'step-a');
  logs.append(uid, 'step-a', 'one\ntwo\nthree\n');
  logs.end(uid, 'step-a');
  expect((await world.call('GET', `${LOG}?container=step-a`)).text).toBe('one\ntwo\nthree\n');
  expect((await world.call('GET', `${LOG}?container=step-a&tailLines=1`)).text).toBe('three\n');
  expect((await world.call('GET', `${LOG}?container=step-a&limitBytes=3`)).text).toBe('one');
  const messages = [LOG, `${LOG}?container=nope`, `${LOG}?container=step-b`];
  expect(
    await Promise.all(messages.map(async (path) => (await world.call('GET', path)).json.message)),
  ).toMatchInlineSnapshot(`
    [
      "a container name must be specified for pod p, choose one of: [step-a step-b]",
      "container nope is not valid for pod p",
      "container "step-b" in pod "p" is waiting to start: PodInitializing",
    ]
  `);
});

test('following gives what is there, what comes, and ends with the container', async () => {
  const { logs } = world.kubernetes;
  logs.begin(uid, 'step-b');
  logs.append(uid, 'step-b', 'first\n');
  const whole = world.call('GET', `${LOG}?container=step-b&follow=true`);
  const again = logs.follow(uid, 'step-b', new AbortController().signal);
  expect(String((await again.next()).value)).toBe('first\n');
  logs.append(uid, 'step-b', 'second\n');
  expect(String((await again.next()).value)).toBe('second\n');
  logs.end(uid, 'step-b');
  expect((await again.next()).done).toBe(true);
  expect((await whole).text).toBe('first\nsecond\n');
});

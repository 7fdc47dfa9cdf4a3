import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { node, type Seen } from './support/node.ts';

let world: Awaited<ReturnType<typeof node>>;
/** A folder that tests and pods share. */
let shared: string;
beforeAll(async () => {
  shared = await mkdtemp(join(tmpdir(), 'indexwright-test-'));
  world = await node([{ match: /^local\/greeter$/, scripts: { '/opt/greet': '#!/bin/sh\necho "hello $1"\n' } }]);
});
afterAll(async () => {
  await world?.close();
  await rm(shared, { recursive: true, force: true });
});

const over = ({ status }: Seen) => ['Succeeded', 'Failed'].includes(status.phase);
const running = ({ status }: Seen) => status.containerStatuses.some(({ state }) => state.running);
const hostPath = () => [{ name: 'shared', hostPath: { path: shared } }];
const atShared = { volumeMounts: [{ name: 'shared', mountPath: '/shared' }] };
const file = (name: string) => expect.poll(() => existsSync(join(shared, name)), { timeout: 60_000 });

test('init containers come one after the other, containers all at once; volumes, images, last words, logs', async () => {
  const mount = { volumeMounts: [{ name: 'work', mountPath: '/work' }] };
  const sh = (script: string) => ({ ...mount, command: ['/bin/sh', '-c', script] });
  await world.pod('chain', '', {
    volumes: [{ name: 'work', emptyDir: {} }],
    initContainers: [
      { name: 'first', image: 'any', ...sh('echo 1 >> /work/order; mkfifo /work/pipe') },
      { name: 'second', image: 'any', ...sh('echo 2 >> /work/order; printf done > /dev/termination-log') },
    ],
    containers: [
      { name: 'reads', image: 'any', ...sh('cat /work/order /work/pipe') },
      {
        name: 'writes',
        image: 'local/greeter',
        ...mount,
        command: ['/bin/sh', '-c', '/opt/greet you | tee /work/pipe'],
      },
    ],
  });
  const { status } = await world.until('chain', over);
  expect(status).toMatchObject({
    phase: 'Succeeded',
    initContainerStatuses: [
      { name: 'first', state: { terminated: { exitCode: 0, reason: 'Completed' } } },
      { name: 'second', state: { terminated: { message: 'done' } } },
    ],
    containerStatuses: [{ name: 'reads', state: { terminated: { exitCode: 0 } } }, { name: 'writes' }],
  });
  expect(await world.log('chain', '?container=reads')).toEqual({ code: 200, text: '1\n2\nhello you\n' });
  expect(await world.log('chain', '?container=reads&tailLines=1')).toEqual({ code: 200, text: 'hello you\n' });
  expect(await world.log('chain', '?container=reads&limitBytes=3')).toEqual({ code: 200, text: '1\n2' });
});

test('a failing init container is the end of the pod; so is a failing container', async () => {
  await world.pod('unlucky', 'echo never', {
    initContainers: [{ name: 'first', image: 'any', command: ['/bin/sh', '-c', 'exit 7'] }],
  });
  expect((await world.until('unlucky', over)).status).toMatchObject({
    phase: 'Failed',
    initContainerStatuses: [{ state: { terminated: { exitCode: 7, reason: 'Error' } } }],
    containerStatuses: [{ state: { waiting: {} } }],
  });
  await world.pod('fails', 'exit 3');
  expect((await world.until('fails', over)).status).toMatchObject({ phase: 'Failed' });
});

test('a pod waits for the secret it needs, and says so', async () => {
  const env = [{ name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'late', key: 'password' } } }];
  const volumes = [{ name: 'late', secret: { secretName: 'later' } }];
  await world.pod('waits', 'echo "$PASSWORD"; cat /late/file', {
    volumes,
    container: { env, volumeMounts: [{ name: 'late', mountPath: '/late' }] },
  });
  const waiting = (reason: string) => (pod: Seen) => pod.status.containerStatuses[0]?.state.waiting?.reason === reason;
  expect((await world.until('waits', waiting('ContainerCreating'))).status.containerStatuses[0]?.state).toEqual({
    waiting: {
      reason: 'ContainerCreating',
      message: 'MountVolume.SetUp failed for volume "late" : secret "later" not found',
    },
  });
  await world.create('secrets', 'later', { stringData: { file: 'f' } });
  const second = await world.until('waits', waiting('CreateContainerConfigError'));
  expect(second.status.containerStatuses[0]?.state.waiting?.message).toBe('secret "late" not found');
  await world.create('secrets', 'late', { stringData: { password: 'p' } });
  await world.until('waits', over);
  expect((await world.log('waits')).text).toBe('p\nf');
});

test('a pod sees itself, changes included, and has a token the API server takes', async () => {
  const volumes = [
    {
      name: 'info',
      downwardAPI: { items: [{ path: 'ready', fieldRef: { fieldPath: "metadata.annotations['ready']" } }] },
    },
  ];
  const script = `
    [ ! -s /info/ready ] && echo "not yet"
    while [ ! -s /info/ready ]; do sleep 0.02; done
    cat /info/ready; echo " $NAME"
    here=/var/run/secrets/kubernetes.io/serviceaccount
    cat $here/namespace; echo
    printf 'header = "Authorization: Bearer %s"' "$(cat $here/token)" > /tmp/curl
    curl -s --config /tmp/curl --cacert $here/ca.crt \\
      "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api/v1/namespaces/default/pods" | grep -o 'User [^ ]*'`;
  const env = [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }];
  await world.pod('mirror', script, {
    volumes,
    container: { env, volumeMounts: [{ name: 'info', mountPath: '/info' }] },
  });
  await expect.poll(async () => (await world.log('mirror')).text, { timeout: 60_000 }).toBe('not yet\n');
  await world.patch('pods', 'mirror', { metadata: { annotations: { ready: 'READY' } } });
  expect((await world.until('mirror', over)).status.phase).toBe('Succeeded');
  const { text } = await world.log('mirror');
  expect(text.split('\n')).toEqual([
    'not yet',
    'READY mirror',
    'default',
    'User \\"system:serviceaccount:default:default\\"',
    '',
  ]);
});

test('a log can be followed; a deleted pod ends with all it has started, and leaves nothing', async () => {
  const script = `setsid sh -c 'while :; do echo x > /shared/beat; sleep 0.02; done' & echo up; wait`;
  await world.pod('endless', script, { volumes: hostPath(), container: atShared });
  await file('beat').toBe(true);
  const following = world.log('endless', '?follow=true');
  const { metadata } = await world.until('endless', running);
  await world.remove('pods', 'endless');
  expect(await following).toEqual({ code: 200, text: 'up\n' });
  await expect.poll(() => world.gone('pods', 'endless'), { timeout: 60_000 }).toBe(true);
  await rm(join(shared, 'beat'));
  await world.pod('meanwhile', 'sleep 0.2');
  await world.until('meanwhile', over);
  expect(existsSync(join(shared, 'beat'))).toBe(false);
  const left = async (folder: string) => (await readdir(join(world.dir, 'kubelet', folder))).includes(metadata.uid);
  await expect.poll(() => left('logs'), { timeout: 60_000 }).toBe(false);
  expect(await left('pods')).toBe(false);
});

test('a claim outlives its pods and goes with its folder', async () => {
  await world.create('persistentvolumeclaims', 'claim', {
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  });
  const volumes = [{ name: 'data', persistentVolumeClaim: { claimName: 'claim' } }];
  const mount = { name: 'data', mountPath: '/data' };
  await world.pod('writer', 'echo kept > /data/deep/file', {
    volumes,
    container: { volumeMounts: [{ ...mount, mountPath: '/data/deep', subPath: 'deep' }] },
  });
  await world.until('writer', over);
  await world.pod('reader', 'cat /data/deep/file; echo x > /data/y', {
    volumes,
    container: { volumeMounts: [{ ...mount, readOnly: true }] },
  });
  expect((await world.until('reader', over)).status.phase, 'read-only').toBe('Failed');
  expect((await world.log('reader')).text).toMatch(/^kept\n/);
  const folder = join(world.dir, 'kubelet/claims/default/claim');
  expect(await readFile(join(folder, 'deep/file'), 'utf8')).toBe('kept\n');
  await world.remove('persistentvolumeclaims', 'claim');
  await expect.poll(() => world.gone('persistentvolumeclaims', 'claim'), { timeout: 60_000 }).toBe(true);
  await expect.poll(() => existsSync(folder), { timeout: 60_000 }).toBe(false);
});

test('an API server that is away in mid-run is told everything afterwards', async () => {
  const script =
    'touch /shared/up; while [ ! -e /shared/go ]; do sleep 0.02; done; touch /shared/went; printf said > /dev/termination-log';
  await world.pod('patient', script, { volumes: hostPath(), container: atShared });
  await file('up').toBe(true);
  await world.plane.apiServer.stop();
  const trigger = join(shared, 'go');
  await writeFile(trigger, '');
  await file('went').toBe(true);
  await world.plane.apiServer.start();
  expect((await world.until('patient', over)).status).toMatchObject({
    phase: 'Succeeded',
    containerStatuses: [{ state: { terminated: { exitCode: 0, message: 'said' } } }],
  });
});

test('the pods of a kubelet that ended are lost to the next one, their logs are not', async () => {
  await world.pod('finished', 'echo all good');
  await world.until('finished', over);
  await world.pod('lost', 'echo once; sleep 1000', {
    initContainers: [{ name: 'first', image: 'any', command: ['true'] }],
  });
  await expect
    .poll(async () => (await world.log('lost').catch(() => undefined))?.text, { timeout: 60_000 })
    .toBe('once\n');
  await world.until('lost', running);
  await world.restartKubelet();
  expect((await world.until('lost', over)).status).toMatchObject({
    phase: 'Failed',
    reason: 'NodeLost',
    initContainerStatuses: [{ state: { terminated: { exitCode: 0 } } }],
    containerStatuses: [{ state: { terminated: { exitCode: 137 } } }],
  });
  await world.pod('next', 'echo still here');
  await world.until('next', over);
  await expect.poll(async () => (await world.log('finished')).text, { timeout: 60_000 }).toBe('all good\n');
  expect(await world.log('lost')).toEqual({ code: 200, text: 'once\n' });
});

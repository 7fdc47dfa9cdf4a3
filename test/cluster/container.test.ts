import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ContainerPlace, runContainer } from '../../src/sandbox/cluster/kubelet/container.ts';
import { builderImage } from '../../src/sandbox/cluster/kubelet/images.ts';
import { Container } from '../../src/sandbox/cluster/kubelet/pod.ts';
import { PodLogs } from '../../src/sandbox/kubernetes/logs.ts';

const BARE = { match: /x/ };
const PATH = '/usr/bin:/bin';

let dir: string;
let logs: PodLogs;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-test-'));
  logs = new PodLogs(join(dir, 'logs'));
  await mkdir(join(dir, 'volume'));
});
afterAll(() => rm(dir, { recursive: true }));

const names = Array.from({ length: 100 }, (_, index) => `c-${index}`);
async function run(script: string, container: object = {}, more: Partial<ContainerPlace> = {}) {
  const name = names.shift() ?? 'c';
  const place: ContainerPlace = {
    dir: join(dir, 'pod'),
    uid: 'u',
    image: BARE,
    env: { PATH, WHO: 'me' },
    volumes: new Map([['data', join(dir, 'volume')]]),
    logs,
    signal: new AbortController().signal,
    onStart: () => {},
    ...more,
  };
  const { exitCode, message } = await runContainer(
    Container.parse({ name, command: ['/bin/sh', '-c', script], ...container }),
    place,
  );
  return { exitCode, message: message.toString(), log: logs.read('u', name)?.toString() };
}

test('a container sees the machine, its own root, its volumes and its environment, and says its last words', async () => {
  await writeFile(join(dir, 'volume/given'), 'given');
  const volumeMounts = [
    { name: 'data', mountPath: '/in', readOnly: true },
    { name: 'data', mountPath: '/in/sub', subPath: 'new/place' },
  ];
  await mkdir(join(dir, 'volume/sub'));
  const ran = await run(
    `cat /in/given; echo; echo "$WHO $1"; pwd; env | sort | cut -d= -f1 | tr '\\n' ' '
     touch /in/x 2>/dev/null && echo 'not read-only'
     ls /home 2>/dev/null; touch /etc/x 2>/dev/null && echo 'not read-only'
     echo out > /in/sub/file; echo big > /tmp/file
     printf said > /tekton/words; exit 3`,
    { args: ['name', '$(WHO)!'], workingDir: '/work/dir', terminationMessagePath: '/tekton/words', volumeMounts },
  );
  expect(ran).toEqual({ exitCode: 3, message: 'said', log: 'given\nme me!\n/work/dir\nPATH PWD WHO ' });
  expect(await readFile(join(dir, 'volume/new/place/file'), 'utf8')).toBe('out\n');
});

test('both outputs are in the log', async () => {
  expect(['a\nb\n', 'b\na\n']).toContain((await run('echo a; echo b >&2')).log);
});

test('what cannot be run ends, with a reason', async () => {
  expect(await run('', { command: ['/no/such/program'] })).toMatchObject({
    exitCode: 1,
    log: expect.stringContaining('/no/such/program'),
  });
  // `$$` is the kubelet's way to write a dollar.
  expect(await run('kill -9 $$$$')).toMatchObject({ exitCode: 137 });
});

test('the end takes everything along, also what has left the process group', async () => {
  const stopping = new AbortController();
  const beat = join(dir, 'volume/beat');
  const started = Promise.withResolvers<void>();
  const running = run(
    'setsid sh -c "while :; do echo x >> /in/beat; sleep 0.02; done" & echo up; wait',
    { volumeMounts: [{ name: 'data', mountPath: '/in' }] },
    { signal: stopping.signal, onStart: started.resolve },
  );
  await started.promise;
  await expect.poll(() => existsSync(beat), { timeout: 20_000 }).toBe(true);
  stopping.abort();
  expect(await running).toMatchObject({ exitCode: 137, log: 'up\n' });
  await rm(beat);
  // Whatever is alive writes within the time another container takes to start and end.
  await run('sleep 0.2');
  expect(existsSync(beat)).toBe(false);
  expect(await run('', {}, { signal: stopping.signal }), 'stopped before it began').toMatchObject({ exitCode: 137 });
});

test("the builder's image holds our command line and the tools it needs", async () => {
  const compileCache = join(dir, 'compile-cache');
  await mkdir(compileCache);
  const image = builderImage({ project: resolve(import.meta.dirname, '../..'), compileCache });
  const ran = await run(
    'indexwright build-index 2>&1 | grep -o "indexwright build-index" | head -n 1; git --version | cut -d" " -f1; ls "$INDEXWRIGHT_OPM_DIR" | grep -c opm-v; skopeo --version | cut -d" " -f1',
    {},
    { image, env: { ...image.env, HOME: '/root' } },
  );
  expect(ran.log).toMatch(/^indexwright build-index\ngit\n[1-9]\nskopeo\n$/);
});

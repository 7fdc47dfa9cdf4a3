import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { bubblewrap } from '../../../src/sandbox/cluster/kubelet/bubblewrap.ts';
import { environmentOf, expand, Missing, type Sources } from '../../../src/sandbox/cluster/kubelet/environment.ts';
import { builderImage, imageFor, tektonImages, withScripts } from '../../../src/sandbox/cluster/kubelet/images.ts';
import { Container, fieldOf, Pod, Volume } from '../../../src/sandbox/cluster/kubelet/pod.ts';
import {
  lastPhase,
  lostStatus,
  markRunning,
  markStarted,
  markTerminated,
  pendingStatus,
  Reporter,
} from '../../../src/sandbox/cluster/kubelet/status.ts';
import { filesOf, shownFiles, within, writeFiles } from '../../../src/sandbox/cluster/kubelet/volumes.ts';

const pod = Pod.parse({
  metadata: {
    name: 'run-build-pod',
    namespace: 'tenant',
    uid: 'u-1',
    labels: { b: '2', a: 'say "1"' },
    annotations: { 'tekton.dev/ready': 'READY' },
  },
  spec: {
    serviceAccountName: 'builder',
    initContainers: [{ name: 'prepare', image: 'local/entrypoint' }],
    containers: [{ name: 'step-a', image: 'x' }],
  },
});

/** What the namespace holds, by name. */
const objects: Record<string, Record<string, string>> = {
  credentials: { user: 'me', password: 'p$(HOME)' },
  settings: { level: 'high', 'with.dot': 'x' },
};
const read = async ({ name, optional }: { name: string; optional: boolean }) => {
  const found = objects[name];
  if (found) return Object.fromEntries(Object.entries(found).map(([key, value]) => [key, Buffer.from(value)]));
  if (!optional) throw new Missing(`"${name}" not found`);
  return undefined;
};
const sources: Sources = { secret: read, configMap: read };

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-test-'));
  const made = dir;
  onTestFinished(() => rm(made, { recursive: true }));
});

describe('environment', () => {
  test('$(NAME) is replaced, $$ is a dollar, what nobody knows stays', () => {
    const variables = { A: 'one', EMPTY: '', 'dotted.name': 'two' };
    expect(expand('$(A)-$(EMPTY)-$(dotted.name)', variables)).toBe('one--two');
    expect(expand('$$(A) $$$(A) $A {A} $(B) $(A', variables)).toBe('$(A) $one $A {A} $(B) $(A');
    expect(expand('$(toString) $(__proto__)', {})).toBe('$(toString) $(__proto__)');
  });

  test('envFrom first, then env in its order; values from objects are not read again', async () => {
    const container = Container.parse({
      name: 'c',
      envFrom: [{ prefix: 'S_', secretRef: { name: 'credentials' } }, { configMapRef: { name: 'no', optional: true } }],
      env: [
        { name: 'LATER', value: '$(FIRST)' },
        { name: 'FIRST', value: '1' },
        { name: 'BOTH', value: '$(FIRST)$(S_user)$(GIVEN)' },
        { name: 'PASSWORD', valueFrom: { secretKeyRef: { name: 'credentials', key: 'password' } } },
        { name: 'LEVEL', valueFrom: { configMapKeyRef: { name: 'settings', key: 'level' } } },
        { name: 'ABSENT', valueFrom: { secretKeyRef: { name: 'credentials', key: 'no', optional: true } } },
        { name: 'POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
        { name: 'GIVEN', value: 'changed' },
      ],
    });
    expect(await environmentOf(container, pod, sources, { GIVEN: 'g' })).toEqual({
      GIVEN: 'changed',
      S_user: 'me',
      S_password: 'p$(HOME)',
      LATER: '$(FIRST)',
      FIRST: '1',
      BOTH: '1meg',
      PASSWORD: 'p$(HOME)',
      LEVEL: 'high',
      POD: 'run-build-pod',
    });
  });

  test.each([
    [{ secretKeyRef: { name: 'credentials', key: 'no' } }, "couldn't find key no in Secret tenant/credentials"],
    [{ configMapKeyRef: { name: 'settings', key: 'no' } }, "couldn't find key no in ConfigMap tenant/settings"],
    [{ secretKeyRef: { name: 'gone', key: 'no' } }, '"gone" not found'],
  ])('what must be there and is not: %j', async (valueFrom, text) => {
    const container = Container.parse({ name: 'c', env: [{ name: 'X', valueFrom }] });
    await expect(environmentOf(container, pod, sources, {})).rejects.toThrow(text);
  });
});

describe('volumes', () => {
  const files = async (volume: object, token = 'tok') => {
    const found = await filesOf(Volume.parse({ name: 'v', ...volume }), { pod, sources, token: async () => token });
    return found.map(({ path, content, mode }) => `${path} ${mode.toString(8)} ${content}`);
  };

  test('the pod shows itself', () => {
    expect(fieldOf(pod, "metadata.annotations['tekton.dev/ready']")).toBe('READY');
    expect(fieldOf(pod, "metadata.labels['none']")).toBe('');
    expect(fieldOf(pod, 'metadata.labels')).toBe('a="say \\"1\\""\nb="2"');
    expect(fieldOf(pod, 'spec.serviceAccountName')).toBe('builder');
    expect(fieldOf(pod, 'status.podIP')).toBe('127.0.0.1');
    expect(fieldOf(pod, 'spec.unknown')).toBe('');
  });

  test('secrets and config maps, whole or by items, with modes', async () => {
    expect(await files({ secret: { secretName: 'credentials', defaultMode: 0o400 } })).toEqual([
      'user 400 me',
      'password 400 p$(HOME)',
    ]);
    const items = [
      { key: 'level', path: 'deep/level', mode: 0o600 },
      { key: 'none', path: 'none' },
    ];
    expect(await files({ configMap: { name: 'settings', items } })).toEqual(['deep/level 600 high']);
    expect(await files({ secret: { secretName: 'gone', optional: true } })).toEqual([]);
    await expect(files({ secret: { secretName: 'gone' } })).rejects.toThrow(Missing);
    expect(await files({ emptyDir: {} })).toEqual([]);
  });

  test('a projected volume joins its sources, the later one wins', async () => {
    const volume = {
      projected: {
        defaultMode: 0o440,
        sources: [
          { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } },
          { configMap: { name: 'settings', items: [{ key: 'level', path: 'namespace' }] } },
          { downwardAPI: { items: [{ path: 'namespace', fieldRef: { fieldPath: 'metadata.namespace' } }] } },
        ],
      },
    };
    expect(await files(volume)).toEqual(['token 440 tok', 'namespace 440 tenant']);
    const shown = shownFiles(Volume.parse({ name: 'v', ...volume }), pod);
    expect(
      shown.map(({ path }) => path),
      'only what shows the pod is written again',
    ).toEqual(['namespace']);
  });

  test('files are replaced whole, and only when they change', async () => {
    const [target, aside] = [join(dir, 'volume'), join(dir, 'aside')];
    const file = (text: string) => [{ path: 'deep/ready', content: Buffer.from(text), mode: 0o640 }];
    await writeFiles(target, aside, file(''));
    const first = await stat(join(target, 'deep/ready'));
    await writeFiles(target, aside, file(''));
    expect((await stat(join(target, 'deep/ready'))).ino, 'untouched').toBe(first.ino);
    await writeFiles(target, aside, file('READY'));
    const second = await stat(join(target, 'deep/ready'));
    expect(second.ino).not.toBe(first.ino);
    expect(second.mode & 0o777).toBe(0o640);
    expect(await readFile(join(target, 'deep/ready'), 'utf8')).toBe('READY');
  });

  test('no path leads out', () => {
    expect(within('/v', '../../etc/passwd')).toBe('/v/etc/passwd');
    expect(within('/v', 'a/../../b')).toBe('/v/b');
    expect(within('/v', '')).toBe('/v/');
  });
});

describe('bubblewrap', () => {
  const enclosure = {
    image: { match: /x/, binds: { '/opt/a': '/host/a' }, writable: { '/var/cache': '/host/cache' } },
    mounts: [
      { at: '/workspace/source/inner', from: '/v/inner', readOnly: true },
      { at: '/workspace', from: '/v/workspace', readOnly: false },
    ],
    tmp: '/pod/tmp',
    termination: { file: '/pod/term', at: '/tekton/termination' },
    workingDir: '/workspace/source',
  };
  const args = (more: object = {}) => bubblewrap({ ...enclosure, ...more }, ['bin']).join(' ');

  test('outer mounts come before inner ones, and the image before the volumes', () => {
    const at = ['--ro-bind /host/a /opt/a', '--bind /v/workspace /workspace', '--ro-bind /v/inner'].map((part) =>
      args().indexOf(part),
    );
    expect(at.every((index) => index > 0)).toBe(true);
    expect(at).toEqual(at.toSorted((a, b) => a - b));
    expect(args()).toContain('--bind /host/cache /var/cache');
    expect(args()).toContain('--bind /pod/term /tekton/termination');
    expect(args()).toMatch(/--chdir \/workspace\/source --$/);
  });

  test('a missing working directory is made where it can be', () => {
    expect(args()).toContain('--dir /workspace/source');
    expect(args({ workingDir: '/workspace/source/inner/x' })).not.toContain('--dir /workspace/source/inner/x');
    expect(args({ workingDir: '/etc' })).not.toContain('--dir /etc');
    expect(args({ workingDir: undefined })).toMatch(/--chdir \/ --$/);
  });
});

describe('images', () => {
  test('the first match holds, and a stranger is the bare machine', async () => {
    const table = await withScripts(tektonImages('/bin/tekton'), dir);
    expect(imageFor(table, 'local/entrypoint').binds).toEqual({ '/ko-app': '/bin/tekton' });
    expect(imageFor(table, 'registry/other:1').binds).toBeUndefined();
    const script = imageFor(table, 'local/workingdirinit').binds?.['/ko-app/workingdirinit'] ?? '';
    expect(await readFile(script, 'utf8')).toMatch(/^#!\/bin\/sh\n/);
    expect((await stat(script)).mode & 0o111).toBe(0o111);
  });

  test('the builder is this checkout, its tools without their links', async () => {
    const project = join(dir, 'project');
    await mkdir(join(project, '.tools/bin'), { recursive: true });
    for (const name of ['bin', 'src', 'node_modules']) await mkdir(join(project, name));
    await writeFile(join(project, 'package.json'), '{}');
    await writeFile(join(dir, 'opm'), '');
    await symlink(join(dir, 'opm'), join(project, '.tools/bin/opm-v1.48.0'));
    const image = builderImage({ project, compileCache: '/cache' });
    expect(imageFor([image], 'localhost/indexwright:latest')).toBe(image);
    expect(image.binds).toMatchObject({
      '/opt/indexwright/src': join(project, 'src'),
      '/opt/tools/opm-v1.48.0': join(dir, 'opm'),
    });
    expect(image.env).toMatchObject({ INDEXWRIGHT_OPM_DIR: '/opt/tools' });
    expect(image.env?.PATH).toMatch(/^\/opt\/indexwright\/bin:\/opt\/tools:/);
  });
});

describe('status', () => {
  test('from pending to the end', () => {
    const status = pendingStatus(pod);
    expect(status).toMatchObject({ phase: 'Pending', containerStatuses: [{ state: { waiting: {} } }] });
    expect(lastPhase(status), 'nothing has run').toBe('Failed');
    markRunning(status);
    const container = status.containerStatuses[0]!;
    markStarted(container);
    expect(status).toMatchObject({ phase: 'Running', containerStatuses: [{ ready: true, state: { running: {} } }] });
    markTerminated(container, 0, Buffer.from(`[{"key":"x"}]${'y'.repeat(5000)}`));
    expect(container.state.terminated?.message).toHaveLength(4096);
    expect(container).toMatchObject({ ready: false, state: { terminated: { exitCode: 0, reason: 'Completed' } } });
    expect(Object.keys(container.state), 'one state at a time').toEqual(['terminated']);
    expect(lastPhase(status)).toBe('Succeeded');
    markTerminated(container, 3, Buffer.alloc(0));
    expect(container.state.terminated).not.toHaveProperty('message');
    expect(lastPhase(status)).toBe('Failed');
  });

  test('of a lost pod, what has ended stays as it is', () => {
    const status = pendingStatus(pod);
    markTerminated(status.initContainerStatuses[0]!, 0, Buffer.from('done'));
    markStarted(status.containerStatuses[0]!);
    const before = structuredClone(status.initContainerStatuses);
    expect(lostStatus({ ...pod, status })).toMatchObject({
      phase: 'Failed',
      reason: 'NodeLost',
      initContainerStatuses: before,
      containerStatuses: [{ ready: false, state: { terminated: { exitCode: 137, reason: 'NodeLost' } } }],
    });
  });

  test('reports are sent one at a time, those between are left out, and the newest always arrives', async () => {
    const sent: number[] = [];
    const gates: (() => void)[] = [];
    const reporter = new Reporter<{ n: number }>(async ({ n }) => {
      sent.push(n);
      await new Promise<void>((resolve) => gates.push(resolve));
    });
    const status = { n: 1 };
    const all = [reporter.report(status)];
    for (status.n = 2; status.n < 5; status.n += 1) all.push(reporter.report(status));
    expect(sent, 'what is sent is what it was then').toEqual([1]);
    gates.shift()?.();
    await expect.poll(() => gates.length).toBe(1);
    gates.shift()?.();
    await Promise.all(all);
    expect(sent).toEqual([1, 4]);
    const last = reporter.report({ n: 9 });
    await expect.poll(() => gates.length).toBe(1);
    gates.shift()?.();
    await last;
    expect(sent).toEqual([1, 4, 9]);
  });

  test('a report that fails tells its caller, and does not stop the next', async () => {
    let broken = true;
    const reporter = new Reporter<string>(async () => {
      if (broken) throw new Error('no server');
    });
    await expect(reporter.report('a')).rejects.toThrow('no server');
    broken = false;
    await reporter.report('b');
  });
});

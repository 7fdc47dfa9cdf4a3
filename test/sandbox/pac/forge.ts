import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PodLogs } from '../../../src/sandbox/kubernetes/logs.ts';
import { type KubeObject, RESOURCES } from '../../../src/sandbox/kubernetes/object.ts';
import { Store } from '../../../src/sandbox/kubernetes/store.ts';
import { type PipelinesAsCodeOptions, startPipelinesAsCode } from '../../../src/sandbox/pac/server.ts';
import { startTekton } from '../../../src/sandbox/tekton/controller.ts';

export const SHA = 'a'.repeat(40);

interface Posted {
  project: number;
  sha: string;
  state: string;
  name: string;
  description: string;
}

/** Just so much of GitLab as Pipelines-as-Code calls: files by ref, members, statuses, notes, diffs. */
export async function forge() {
  const state = {
    files: new Map<string, string>(),
    members: new Set([7]),
    changed: [] as { new_path: string }[],
    statuses: [] as Posted[],
    notes: [] as string[],
    calls: [] as string[],
  };
  const listeners = new Set<() => void>();
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = chunks.length > 0 ? JSON.parse(Buffer.concat(chunks).toString()) : undefined;
    const [path = '', query = ''] = (request.url ?? '').replace('/api/v4', '').split('?');
    const ref = new URLSearchParams(query).get('ref') ?? '';
    state.calls.push(`${request.method} ${path}`);
    const answer = (code: number, json: unknown) => {
      response.writeHead(code, { 'content-type': 'application/json' });
      response.end(typeof json === 'string' ? json : JSON.stringify(json));
      for (const listener of listeners) listener();
    };
    if (request.headers['private-token'] !== 'gitlab-token') return answer(401, { message: '401 Unauthorized' });
    if (/^\/projects\/\d+$/.test(path)) return answer(200, { id: 1, default_branch: 'main' });
    const member = /members\/all\/(\d+)$/.exec(path);
    if (member) return state.members.has(Number(member[1])) ? answer(200, { id: Number(member[1]) }) : answer(404, {});
    if (path.endsWith('/repository/tree')) {
      const entries = [...state.files.keys()].filter((key) => key.startsWith(`${ref}:.tekton/`));
      if (entries.length === 0) return answer(404, { message: '404 Tree Not Found' });
      return answer(
        200,
        entries.map((key) => ({ path: key.slice(ref.length + 1), type: 'blob' })),
      );
    }
    const file = /repository\/files\/(.+)\/raw$/.exec(path);
    if (file) {
      const name = decodeURIComponent(file[1] ?? '');
      const text = state.files.get(`${ref}:${name}`);
      return text ? answer(200, text) : answer(404, {});
    }
    if (/\/diffs?$/.test(path)) return answer(200, state.changed);
    const status = /^\/projects\/(\d+)\/statuses\/(\w+)$/.exec(path);
    if (status) {
      state.statuses.push({ ...body, project: Number(status[1]), sha: status[2] ?? '' });
      return answer(201, {});
    }
    if (path.endsWith('/notes')) state.notes.push(body.body);
    return answer(201, {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    ...state,
    url,
    project: `${url}/grp/sub/catalog`,
    /** Waits until the world is so. */
    until: (holds: () => boolean) =>
      new Promise<void>((resolve) => {
        const check = () => {
          if (!holds()) return;
          listeners.delete(check);
          resolve();
        };
        listeners.add(check);
        check();
      }),
    said: () => state.statuses.map(({ name, state: said }) => `${name}: ${said}`),
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** GitLab, an API server's store, Tekton and Pipelines-as-Code together, with one Repository registered. */
export async function pac(options: Partial<PipelinesAsCodeOptions> = {}, spec: Record<string, unknown> = {}) {
  const dir = await mkdtemp(join(tmpdir(), 'pac-'));
  const gitlab = await forge();
  const store = new Store(join(dir, 'objects.db'), { historyLength: 1000 });
  const tekton = await startTekton({ store, logs: new PodLogs(join(dir, 'logs')), dir: join(dir, 'tekton') });
  const service = await startPipelinesAsCode({ store, statusLag: 20, ...options });
  store.create(RESOURCES.namespaces, { metadata: { name: 'tenant' } });
  store.create(RESOURCES.secrets, {
    metadata: { name: 'gitlab', namespace: 'tenant' },
    stringData: { token: 'gitlab-token', webhook: 'hook-secret' },
  });
  store.create(RESOURCES.repositories, {
    metadata: { name: 'catalog', namespace: 'tenant' },
    spec: {
      url: gitlab.project,
      git_provider: {
        type: 'gitlab',
        url: gitlab.url,
        secret: { name: 'gitlab', key: 'token' },
        webhook_secret: { name: 'gitlab', key: 'webhook' },
      },
      params: [{ name: 'greeting', value: 'hello' }],
      ...spec,
    },
  });

  async function send(kind: string, body: unknown, token: string | undefined = 'hook-secret') {
    const answer = await fetch(service.url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-gitlab-event': kind,
        ...(token === '' ? {} : { 'x-gitlab-token': token }),
      },
      body: JSON.stringify(body),
    });
    const text = await answer.text();
    await service.idle();
    return `${answer.status} ${JSON.parse(text).message}`;
  }
  const runs = () => store.list(RESOURCES.pipelineruns, 'tenant');
  return {
    gitlab,
    store,
    faults: service.faults,
    mr: (more: Record<string, unknown> = {}) => send('Merge Request Hook', mergeRequest(gitlab.project, more)),
    send,
    push: (more: Record<string, unknown> = {}) => send('Push Hook', { ...push(gitlab.project), ...more }),
    say: (note: string, sha = SHA) => send('Note Hook', comment(gitlab.project, note, sha)),
    runs,
    /** Waits until the runs are so. */
    until(holds: (all: KubeObject[]) => boolean): Promise<void> {
      return new Promise((resolve) => {
        const check = () => {
          if (!holds(runs())) return;
          end();
          resolve();
        };
        const end = store.subscribe(check);
        check();
      });
    },
    async stop() {
      await service.close();
      await tekton.close();
      store.close();
      await gitlab.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

export const mergeRequest = (project: string, more: Record<string, unknown> = {}) => ({
  object_kind: 'merge_request',
  user: { id: 7, username: 'Robot' },
  project: { id: 1, web_url: project, default_branch: 'main', path_with_namespace: 'grp/sub/catalog' },
  object_attributes: {
    action: 'open',
    iid: 12,
    title: 'Add bundles',
    source_branch: 'iib-1',
    target_branch: 'v4.19',
    source_project_id: 1,
    target_project_id: 1,
    last_commit: { id: SHA, url: `${project}/-/commit/${SHA}`, title: 'Add bundles', message: 'Add bundles\n' },
    source: { web_url: project, path_with_namespace: 'grp/sub/catalog' },
    target: { web_url: project, path_with_namespace: 'grp/sub/catalog' },
    ...more,
  },
});

const push = (project: string) => ({
  object_kind: 'push',
  ref: 'refs/heads/v4.19',
  user_id: 7,
  user_username: 'robot',
  project_id: 1,
  project: { id: 1, web_url: project, default_branch: 'main', path_with_namespace: 'grp/sub/catalog' },
  commits: [{ id: SHA, url: '', title: 'x', message: 'x' }],
});

const comment = (project: string, note: string, sha: string) => {
  const { object_attributes, ...rest } = mergeRequest(project);
  return {
    ...rest,
    object_kind: 'note',
    object_attributes: { note, noteable_type: 'MergeRequest' },
    merge_request: {
      ...object_attributes,
      state: 'opened',
      last_commit: { ...object_attributes.last_commit, id: sha },
    },
  };
};

export const template = (script: string, annotations: Record<string, string> = {}, name = 'build') => `
apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: ${name}
  annotations: ${JSON.stringify(
    Object.fromEntries(
      Object.entries({ 'on-event': '[pull_request]', 'on-target-branch': '[v4.*]', ...annotations }).map(
        ([key, value]) => [`pipelinesascode.tekton.dev/${key}`, value],
      ),
    ),
  )}
spec:
  params: [{name: said, value: "{{ greeting }} {{ revision }} {{ pull_request_number }} {{ nothing }}"}]
  workspaces: [{name: auth, secret: {secretName: "{{ git_auth_secret }}"}}]
  pipelineSpec:
    params: [{name: said}]
    results: [{name: SAID, value: $(tasks.only.results.said)}]
    tasks:
      - name: only
        taskSpec:
          results: [{name: said}]
          steps: [{name: main, image: any, script: ${JSON.stringify(script)}}]
`;

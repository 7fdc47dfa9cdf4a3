import { expect } from 'vitest';
import { startRelay } from './relay.ts';
import { type ContractWorld, LONG, masked } from './world.ts';

const WEBHOOK = 'hook-secret-of-the-tenant';
const PAC = 'pipelinesascode.tekton.dev/';
const MARKS = /pipelinesascode|app\.kubernetes/;
const PASSING = /log-url|last-applied|check-run|kubernetes.io.version/;
const DONE = ['success', 'failed', 'canceled'];

export interface Run {
  metadata: { name: string; labels: Record<string, string>; annotations: Record<string, string> };
  spec: { status?: string };
  status?: {
    conditions?: { status: string; reason: string; message: string }[];
    results?: unknown[];
    /** Whole seconds. */
    startTime?: string;
    completionTime?: string;
  };
}

const names = Array.from({ length: 200 }, (_, index) => `case-${index}`);

/** Without what a script does: annotations, and perhaps a spec of its own. */
export function template(
  script: string,
  annotations: Record<string, string> = {},
  name = 'build',
  spec: string = pipelineSpec(script),
): string {
  const all = { 'on-event': '[pull_request]', 'on-target-branch': '[main]', ...annotations };
  const prefixed = Object.fromEntries(Object.entries(all).map(([key, value]) => [PAC + key, value]));
  return `apiVersion: tekton.dev/v1
kind: PipelineRun
metadata:
  name: ${name}
  annotations: ${JSON.stringify(prefixed)}
spec:
  params: [{name: said, value: "{{ revision }} {{ pull_request_number }} {{ nothing }}"}]
${spec}`;
}

const pipelineSpec = (script: string) => `  pipelineSpec:
    params: [{name: said, type: string}]
    results: [{name: SAID, value: $(tasks.only.results.said)}]
    tasks:
      - name: only
        params: [{name: said, value: $(params.said)}]
        taskSpec:
          params: [{name: said, type: string}]
          results: [{name: said}]
          steps: [{name: main, image: any, script: ${JSON.stringify(script)}}]
`;

export const OK = 'printf "%s" "$(params.said)" > $(results.said.path)';

/**
 * A GitLab project with a developer, a namespace, and a Repository object that joins them: one for each case, because
 * there may be one Repository for a project only.
 */
export async function contractTenant(
  world: ContractWorld,
  files: Record<string, string>,
  spec: Record<string, unknown> = {},
) {
  const name = names.shift() ?? '';
  const gitlab = world.parts.gitlab.now;
  const relay = await startRelay({ gitlabUrl: gitlab.url, hookUrl: world.parts.pipelinesAsCode.now.url });
  const author = gitlab.createUser({ username: `author-${name}` });
  const pipelines = gitlab.createUser({ username: `pipelines-${name}` });
  const path = `contract/${name}`;
  const project = await gitlab.seedProject({
    path,
    files: { 'README.md': 'read me\n' },
    protection: 'developers',
    members: { [author.username]: 30, [pipelines.username]: 40 },
  });
  const at = `/projects/${project.id}`;
  const api = async (method: string, call: string, body?: unknown) => {
    const answer = await fetch(`${gitlab.url}/api/v4${at}${call}`, {
      method,
      headers: { 'private-token': author.token, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${call}: ${answer.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const namespace = await world.namespace(name);
  await world.call('POST', `${namespace}/secrets`, {
    metadata: { name: 'gitlab' },
    stringData: { token: pipelines.token, webhook: WEBHOOK },
  });
  const repositories = `/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/${name}/repositories`;
  const repository = await world.call('POST', repositories, {
    apiVersion: 'pipelinesascode.tekton.dev/v1alpha1',
    kind: 'Repository',
    metadata: { name: 'catalog' },
    spec: {
      url: project.url,
      git_provider: {
        type: 'gitlab',
        url: relay.url,
        secret: { name: 'gitlab', key: 'token' },
        webhook_secret: { name: 'gitlab', key: 'webhook' },
      },
      ...spec,
    },
  });
  if (repository.code !== 201) throw new Error(repository.text);
  gitlab.addHook(path, { url: relay.hookUrl, token: WEBHOOK });

  const commit = async (branch: string, changed: Record<string, string>, message = 'Change', start?: string) => {
    const actions = await Promise.all(
      Object.entries(changed).map(async ([file, content]) => {
        const known = `/repository/files/${encodeURIComponent(file)}?ref=${start ?? branch}`;
        const there = await api('GET', known).then(
          () => true,
          () => false,
        );
        return { action: there ? 'update' : 'create', file_path: file, content };
      }),
    );
    const from = start === undefined ? {} : { start_branch: start };
    const made = await api('POST', '/repository/commits', { branch, commit_message: message, actions, ...from });
    return made.id as string;
  };
  const tekton = Object.fromEntries(Object.entries(files).map(([file, text]) => [`.tekton/${file}`, text]));

  const runs = async (): Promise<Run[]> =>
    (await world.call('GET', `/apis/tekton.dev/v1/namespaces/${name}/pipelineruns`)).json.items;
  /** Statuses in the order in which they were taken: `name: state`, without the application's name. */
  const said = (): string[] =>
    relay.calls
      .filter(({ method, path: called, status }) => method === 'POST' && called.includes('/statuses/') && status < 300)
      .map(({ body }) => `${String(body.name ?? body.context).replace('Pipelines as Code CI / ', '')}: ${body.state}`);

  /** Statuses with their descriptions and links, whether they were taken or not. */
  const described = (): string[] =>
    relay.calls
      .filter(({ method, path: called }) => method === 'POST' && called.includes('/statuses/'))
      .map(({ body }) => `${body.state} "${body.description}" ${body.target_url}`)
      .map((line) => line.replaceAll(name, 'CASE').replace(/(build|other)-[a-z0-9]{5}$/, '$1-X'));

  /** Labels or annotations of Pipelines-as-Code, without what differs from one run to the next. */
  const marks = (all: Record<string, string> = {}): Record<string, string> =>
    Object.fromEntries(
      Object.entries(all)
        .filter(([key]) => MARKS.test(key) && !PASSING.test(key))
        .map(([key, value]) => [key.replace(PAC, ''), masked(value).replaceAll(name, 'CASE')])
        .sort(),
    );

  return {
    name,
    described,
    marks,
    project,
    relay,
    author,
    api,
    runs,
    said,
    commit,
    /** A branch with the templates and its merge request. */
    async open(branch = 'change', message = 'Change'): Promise<{ iid: number; sha: string }> {
      const sha = await commit(branch, { ...tekton, file: branch }, message, 'main');
      const request = { source_branch: branch, target_branch: 'main', title: `Merge ${branch}` };
      return { iid: (await api('POST', '/merge_requests', request)).iid, sha };
    },
    say: (iid: number, body: string) => api('POST', `/merge_requests/${iid}/notes`, { body }),
    notes: async (iid: number): Promise<string[]> =>
      (await api('GET', `/merge_requests/${iid}/notes`))
        .filter(
          ({ author: by, system }: { author: { username: string }; system: boolean }) =>
            by.username === pipelines.username && !system,
        )
        .map(({ body }: { body: string }) => body),
    /** Answers of Pipelines-as-Code to all hooks of this kind, once there are so many. */
    async answers(event: 'Merge Request Hook' | 'Note Hook' | 'Push Hook', count: number): Promise<string[]> {
      const answers = () => relay.deliveries.filter((each) => each.event === event).map(({ answer }) => answer);
      await expect.poll(() => answers().length, LONG).toBeGreaterThanOrEqual(count);
      return answers();
    },
    /** Waits until the statuses are as they should be, and are so many. */
    async hears(...states: string[]): Promise<void> {
      await expect.poll(said, LONG).toEqual(states);
    },
    /** Waits until so many runs are over and reported. */
    async over(count: number): Promise<Run[]> {
      const finished = async () =>
        (await runs()).filter((run) => run.metadata.labels[`${PAC}state`] === 'completed').length;
      await expect.poll(finished, LONG).toBe(count);
      return runs();
    },
    async running(count: number): Promise<Run[]> {
      const busy = async () =>
        (await runs()).filter(({ status }) => status?.conditions?.some(({ reason }) => reason === 'Running')).length;
      await expect.poll(busy, LONG).toBe(count);
      return runs();
    },
    ended: () => said().filter((each) => DONE.some((state) => each.endsWith(`: ${state}`))),
    /** Ends what runs, too: the imitation has room for two pods. */
    async close() {
      await world.call('DELETE', `/apis/pipelinesascode.tekton.dev/v1alpha1/namespaces/${name}/repositories/catalog`);
      await world.call('DELETE', `/apis/tekton.dev/v1/namespaces/${name}/pipelineruns`);
      await relay.close();
    },
  };
}
export type ContractTenant = Awaited<ReturnType<typeof contractTenant>>;

/** A label or annotation of Pipelines-as-Code. */
export const label = (run: Run, key: string) => run.metadata.labels[PAC + key];
export const note = (run: Run, key: string) => run.metadata.annotations[PAC + key];
export const outcome = (run: Run) => {
  const { status, reason, message } = run.status?.conditions?.[0] ?? {};
  return `${status} ${reason} ${message}`;
};

import { parse } from 'yaml';
import { z } from 'zod';
import { Failure } from '../../errors/failure.ts';
import { patiently } from '../../errors/retry.ts';

/** What Pipelines-as-Code was seen to do on 429 and 5xx: soon again, `Retry-After` ignored (real-cluster.md §5.3). */
const PATIENCE = { total: 60_000, first: 750, longest: 5000 };

/** As go-gitlab escapes: everything, and the dot too. */
const escaped = (text: string) => encodeURIComponent(text).replaceAll('.', '%2E');

export interface CommitStatus {
  state: 'pending' | 'running' | 'success' | 'failed' | 'canceled';
  name: string;
  description: string;
  targetUrl: string;
}

export interface ChangedFile {
  path: string;
  how: 'added' | 'deleted' | 'renamed' | 'modified';
}

/** Kubernetes' own format; aliases and filters are not imitated. */
const Owners = z.object({ approvers: z.array(z.string()).default([]), reviewers: z.array(z.string()).default([]) });
const Tree = z.array(z.object({ path: z.string(), type: z.string() }));
const Diffs = z.array(
  z.object({
    new_path: z.string(),
    new_file: z.boolean().default(false),
    deleted_file: z.boolean().default(false),
    renamed_file: z.boolean().default(false),
  }),
);

/** The REST calls Pipelines-as-Code makes, in its order and with its headers (real-cluster.md §5.2). */
export class PacGitLab {
  readonly #base: string;
  readonly #token: string;
  readonly #signal: AbortSignal;

  constructor(url: string, token: string, signal: AbortSignal) {
    this.#base = `${url.replace(/\/$/, '')}/api/v4`;
    this.#token = token;
    this.#signal = signal;
  }

  /** @throws Failure `gitlab_denied`, `gitlab_refused`: then nothing is run and nothing is said */
  async project(id: number): Promise<void> {
    const answer = await this.#call('GET', `/projects/${id}`);
    if (answer.status === 401 || answer.status === 403)
      throw new Failure('gitlab_denied', `GitLab answered ${answer.status} for the project`);
    if (!answer.ok) throw new Failure('gitlab_refused', `GitLab answered ${answer.status} for the project`);
  }

  /** Whether the user is a member, or named in OWNERS of the default branch. */
  async mayRun(project: number, user: { id: number; name: string }, defaultBranch: string): Promise<boolean> {
    const answer = await this.#call('GET', `/projects/${project}/members/all/${user.id}`);
    if (answer.ok && z.object({ id: z.number() }).parse(await answer.json()).id === user.id) return true;
    const owners = await this.#file(project, 'OWNERS', defaultBranch);
    const parsed = Owners.safeParse(parse(owners ?? ''));
    return parsed.success && [...parsed.data.approvers, ...parsed.data.reviewers].includes(user.name);
  }

  /** All YAML files under `.tekton/`; undefined when there is no such directory. */
  async definitions(project: number, ref: string): Promise<{ path: string; text: string }[] | undefined> {
    const query = new URLSearchParams({
      path: '.tekton',
      ref,
      recursive: 'true',
      pagination: 'keyset',
      per_page: '100',
      order_by: 'id',
      sort: 'asc',
    });
    const entries = await this.#pages(`/projects/${project}/repository/tree?${query}`, Tree);
    if (entries === undefined) return undefined;
    const files = entries.filter(({ path, type }) => type === 'blob' && /\.ya?ml$/.test(path));
    return Promise.all(files.map(async ({ path }) => ({ path, text: (await this.#file(project, path, ref)) ?? '' })));
  }

  /** What a merge request (by iid) or a commit changes. */
  async changes(project: number, of: { iid: number } | { sha: string }): Promise<ChangedFile[]> {
    const path =
      'iid' in of
        ? `/projects/${project}/merge_requests/${of.iid}/diffs?pagination=keyset&per_page=100`
        : `/projects/${project}/repository/commits/${of.sha}/diff?per_page=100`;
    const diffs = (await this.#pages(path, Diffs)) ?? [];
    return diffs.map(({ new_path, new_file, deleted_file, renamed_file }) => ({
      path: new_path,
      how: new_file ? 'added' : deleted_file ? 'deleted' : renamed_file ? 'renamed' : 'modified',
    }));
  }

  /** Gives false when GitLab refused it; a repeated state counts as taken. */
  async postStatus(
    project: number,
    sha: string,
    { state, name, description, targetUrl }: CommitStatus,
  ): Promise<boolean> {
    const body = { state, name, context: name, description: description.slice(0, 255), target_url: targetUrl };
    const answer = await this.#call('POST', `/projects/${project}/statuses/${sha}`, body);
    return answer.ok || (await answer.text()).includes('Cannot transition status');
  }

  async note(project: number, iid: number, body: string): Promise<void> {
    await this.#call('POST', `/projects/${project}/merge_requests/${iid}/notes`, { body });
  }

  async #file(project: number, path: string, ref: string): Promise<string | undefined> {
    const answer = await this.#call(
      'GET',
      `/projects/${project}/repository/files/${escaped(path)}/raw?${new URLSearchParams({ ref })}`,
    );
    return answer.ok ? answer.text() : undefined;
  }

  async #pages<T>(path: string, schema: z.ZodType<T[]>): Promise<T[] | undefined> {
    const all: T[] = [];
    for (let next: string | undefined = path; next !== undefined; ) {
      const answer = await this.#call('GET', next);
      if (!answer.ok) return all.length > 0 ? all : undefined;
      all.push(...schema.parse(await answer.json()));
      next = /<([^>]+)>;\s*rel="next"/.exec(answer.headers.get('link') ?? '')?.[1];
    }
    return all;
  }

  async #call(method: 'GET' | 'POST', path: string, body?: unknown): Promise<Response> {
    const url = /^https?:/.test(path) ? path : this.#base + path;
    return patiently(PATIENCE, this.#signal, async () => {
      const answer = await fetch(url, {
        method,
        signal: this.#signal,
        headers: {
          'private-token': this.#token,
          'user-agent': 'go-gitlab',
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      }).catch((cause: unknown) => {
        this.#signal.throwIfAborted();
        throw new Failure('gitlab_unavailable', 'GitLab does not answer', { cause });
      });
      if (answer.status === 429 || answer.status >= 500) {
        await answer.body?.cancel();
        throw new Failure('gitlab_unavailable', `GitLab answered ${answer.status}`);
      }
      return answer;
    });
  }
}

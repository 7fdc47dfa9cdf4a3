import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type GitLab, startGitLab } from '../../src/sandbox/gitlab/server.ts';
import { type GitLabRelay, startGitLabRelay } from '../support/gitlab-relay.ts';
import { answering, MODULES, pythonClients } from './support/virtual-environment.ts';

const { missing, venv } = pythonClients('gitlab');

/** The imitation's GitLab, seen by a client that nobody here has written. The parts of the walk build on one another. */
describe.skipIf(missing)(missing ? `skipped: ${missing}` : 'python-gitlab 8.6.0 walks through the imitation', () => {
  let dir: string;
  let gitlab: GitLab;
  let relay: GitLabRelay;
  let walker: ReturnType<typeof answering>;
  let misled: ReturnType<typeof answering>;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'indexwright-walk-'));
    gitlab = await startGitLab({ dir });
    const { token } = gitlab.createUser({ username: 'walker' });
    gitlab.createUser({ username: 'helper' });
    for (const path of ['walks/catalog', 'walks/other', 'walks/misled']) {
      await gitlab.seedProject({
        path,
        files: { 'README.md': 'read me\n', 'run.sh': '#!/bin/sh\n', 'old.txt': 'old\n' },
        protection: 'developers',
        members: { walker: 40 },
      });
    }
    relay = await startGitLabRelay(gitlab.url);
    const startWalk = (url: string, project: string, more = {}) => {
      const env = {
        GITLAB_URL: url,
        GITLAB_TOKEN: token,
        GITLAB_PROJECT: project,
        PYTHONDONTWRITEBYTECODE: '1',
        ...more,
      };
      const program = join(MODULES, 'gitlab_walk.py');
      return answering(spawn(join(venv, 'bin/python'), [program], { env, stdio: ['pipe', 'pipe', 'inherit'] }));
    };
    walker = startWalk(gitlab.url, 'walks/catalog');
    misled = startWalk(relay.url, 'walks/misled', { PYTHONWARNINGS: 'ignore' });
  });
  afterAll(async () => {
    await walker?.close();
    await misled?.close();
    await relay?.close();
    await gitlab?.close();
    if (dir !== undefined) await rm(dir, { recursive: true, force: true });
  });

  test('user, version, projects', async () => {
    expect(await walker.ask('lookup')).toEqual({
      saw: {
        user: 'walker',
        version: true,
        project: ['walks/catalog', 'main'],
        by_id: 'catalog',
        found: ['catalog'],
        absent: ['GitlabGetError', 404, '404 Project Not Found'],
        anonymous: ['GitlabAuthenticationError', 401, '401 Unauthorized'],
      },
    });
  });

  test('branches, and which are protected', async () => {
    expect(await walker.ask('branches')).toEqual({
      saw: {
        names: ['main', 'topic/one'],
        same_tip: true,
        again: ['GitlabCreateError', 400, 'Branch already exists'],
        gone: ['GitlabGetError', 404, '404 Branch Not Found'],
        protected: [['main', false, [30]]],
      },
    });
  });

  test('a commit with every kind of action; files, tree, log, comparison', async () => {
    expect(await walker.ask('commits')).toEqual({
      saw: {
        title: ['Change all', 'Change all\n\nof it'],
        stats: { additions: 2, deletions: 3, total: 5 },
        paths: ['README.md', 'a/new.bin', 'b/c.txt', 'b/d.txt', 'old.txt', 'run.sh'],
        file: 'changed\n',
        binary: [0, 1, 2],
        tree: [
          ['README.md', '100644'],
          ['a/new.bin', '100644'],
          ['b/d.txt', '100644'],
          ['run.sh', '100755'],
        ],
        log: ['Change all', 'Make a file'],
        compared: ['Change all'],
        refused: ['GitlabCreateError', 400, "A file with this name doesn't exist"],
      },
    });
  });

  test('commit statuses', async () => {
    expect(await walker.ask('statuses')).toEqual({
      saw: {
        all: [
          ['check', 'success', 'is success'],
          ['other', 'failed', null],
        ],
        unknown: ['GitlabCreateError', 400],
      },
    });
  });

  test('a merge request: made, found, rebased, renamed, refused for another head, merged by its own', async () => {
    expect(await walker.ask('merge_requests')).toEqual({
      saw: {
        opened: ['opened', 'walker', true],
        twice: ['GitlabCreateError', 409, ['Another open merge request already exists for this source branch: !1']],
        listed: [1],
        rebased: [null, true],
        commits: ['Change all'],
        changes: ['README.md', 'a/new.bin', 'b/c.txt', 'b/d.txt', 'old.txt', 'run.sh'],
        other_head: ['GitlabMRClosedError', 409, expect.stringContaining('SHA does not match HEAD of source branch')],
        merged: ['Change all of it', true, 'walker'],
        in_main: true,
        merged_twice: ['GitlabMRClosedError', 405, '405 Method Not Allowed'],
      },
    });
  });

  test('notes and a thread', async () => {
    expect(await walker.ask('notes')).toEqual({
      saw: {
        bodies: [['walker', 'Very well done']],
        thread: ['Why?', 'Because'],
        gone: ['GitlabGetError', 404, '404 Note Not Found'],
      },
    });
  });

  test('hooks, whose token is never shown', async () => {
    expect(await walker.ask('hooks')).toEqual({
      saw: { hook: ['http://127.0.0.1:9/hook', true, false, true], token: false, listed: [1, 0] },
    });
  });

  test('members', async () => {
    expect(await walker.ask('members')).toEqual({
      saw: { level: 30, names: ['helper', 'root', 'walker'], gone: ['GitlabGetError', 404, '404 Not found'] },
    });
  });

  test('pages by number and by key', async () => {
    expect(await walker.ask('pages')).toEqual({
      saw: {
        counts: [5, 3, 2, 1, 2],
        all: ['page-0', 'page-1', 'page-2', 'page-3', 'page-4'],
        one: ['page-4'],
        keyset: 7,
        at_once: 7,
        projects: ['misled', 'other', 'catalog'],
      },
    });
  });

  test.each<[string, string, RegExp, (body: Record<string, unknown>) => void, string]>([
    [
      'a field dropped',
      'lookup',
      /^\/projects\/walks%2Fmisled$/,
      (body) => delete body.default_branch,
      'AttributeError',
    ],
    [
      'a type changed',
      'branches',
      /\/branches\/topic%2Fone$/,
      (body) => {
        body.commit = (body.commit as { id: string }).id;
      },
      'TypeError',
    ],
    [
      'a field renamed',
      'hooks',
      /\/hooks\/\d+$/,
      (body) => {
        body.merge_request_events = body.merge_requests_events;
        delete body.merge_requests_events;
      },
      'AttributeError',
    ],
  ])('a seeded mistake is stumbled over: %s', async (_, part, path, mistake, raised) => {
    relay.meddle();
    expect(await misled.ask('lookup')).toHaveProperty('saw');
    relay.meddle((exchange) => {
      if (path.test(exchange.path) && exchange.body !== null) mistake(exchange.body);
    });
    expect(await misled.ask(part)).toMatchObject({ raised });
  });
});

import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { commitStatuses } from '../../src/forge/branches.ts';
import { readMergeRequest, readMergeRequestAnswer } from '../../src/forge/merge-requests.ts';
import { parseRepositoryUrl } from '../../src/forge/repository-url.ts';
import { readHook } from '../../src/sandbox/pac/hook.ts';
import { noGitLabJudge, RECORDINGS } from './support/gitlab-judge.ts';

const missing = noGitLabJudge();
// biome-ignore lint/suspicious/noExplicitAny: recordings of every shape
const recording = (name: string): any => JSON.parse(readFileSync(join(RECORDINGS, name), 'utf8'));
const signal = new AbortController().signal;

/** A GitLab that gives one recorded body to every call. */
async function replay(body: unknown) {
  const server = createServer((_, response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = parseRepositoryUrl(`http://127.0.0.1:${(server.address() as AddressInfo).port}/group/project`);
  return { url, token: 'a-token-of-nobody', callTimeout: 10_000 };
}

/** Answers and hooks of real GitLabs, recorded by the authors of client-go, through what we read them with. */
describe.skipIf(missing)(missing ? `skipped: ${missing}` : 'bodies recorded by client-go 1.46.0', () => {
  // biome-ignore lint/suspicious/noExplicitAny: recordings of every shape
  const mergeRequests = (): [string, any][] =>
    readdirSync(RECORDINGS)
      .filter((name) => /merge_request.*\.json$/.test(name))
      .flatMap((name) =>
        [recording(name)]
          .flat()
          .filter((body) => body.web_url && body.source_branch && body.iid)
          .map((body): [string, unknown] => [`${name} !${body.iid}`, body]),
      );

  test('merge requests', () => {
    const all = mergeRequests();
    expect(all.length).toBeGreaterThanOrEqual(8);
    for (const [name, body] of all) {
      expect([name, readMergeRequestAnswer(body)]).toEqual([
        name,
        {
          iid: body.iid,
          webUrl: body.web_url,
          state: body.state,
          sha: body.sha,
          sourceBranch: body.source_branch,
          targetBranch: body.target_branch,
          merged: body.state === 'merged' ? body.merge_commit_sha : null,
          mergeStatus: body.detailed_merge_status,
          mergeError: null,
        },
      ]);
    }
  });

  test('a merge request by the call that reads it; commits without a status', async () => {
    const opened = recording('get_merge_request.json');
    expect(await readMergeRequest(await replay(opened), 1, signal)).toMatchObject({
      iid: opened.iid,
      sha: '8e0b45049b6253b8984cde9241830d2851168142',
      mergeStatus: 'mergeable',
    });
    expect(await commitStatuses(await replay([]), 'main', signal)).toEqual([]);
  });

  test('a field of the recording that is renamed, or of another type, is refused by name', () => {
    const { iid, ...renamed } = recording('get_merge_request.json');
    expect(() => readMergeRequestAnswer({ ...renamed, number: iid })).toThrow('a merge request cannot be read');
    expect(() => readMergeRequestAnswer({ ...renamed, iid: String(iid) })).toThrow('a merge request cannot be read');
    const { ref, ...push } = recording('webhooks/push.json');
    expect(readHook('Push Hook', { ...push, reference: ref })).toEqual({
      error: expect.stringContaining('cannot parse hook'),
    });
  });

  const KINDS: Record<string, string> = {
    push: 'Push Hook',
    tag_push: 'Tag Push Hook',
    merge_request: 'Merge Request Hook',
    note: 'Note Hook',
  };

  test('hooks: what starts a pipeline is read, the rest is passed over; one its authors have cut lacks what a hook has', () => {
    const read = readdirSync(join(RECORDINGS, 'webhooks')).flatMap((name) => {
      const body = recording(`webhooks/${name}`);
      const kind = KINDS[body.object_kind];
      if (kind === undefined) return [];
      const reading = readHook(kind, body);
      if ('skip' in reading) return [[name, 'skipped']];
      if ('error' in reading) return [[name, reading.error.split('\n').slice(1, 2).join().trim()]];
      const { eventType, sha, headBranch, baseBranch, iid, command } = reading.event;
      return [[name, { eventType, sha: sha.slice(0, 8), headBranch, baseBranch, iid, command: command?.eventType }]];
    });
    expect(Object.fromEntries(read)).toMatchInlineSnapshot(`
      {
        "group_merge_request.json": "→ at project.id",
        "merge_request.json": {
          "baseBranch": "master",
          "command": undefined,
          "eventType": "Merge Request",
          "headBranch": "ms-viewport",
          "iid": 1,
          "sha": "da156088",
        },
        "note_commit.json": "skipped",
        "note_issue.json": "skipped",
        "note_merge_request.json": {
          "baseBranch": "markdown",
          "command": undefined,
          "eventType": "on-comment",
          "headBranch": "master",
          "iid": 1,
          "sha": "562e173b",
        },
        "note_snippet.json": "skipped",
        "push.json": {
          "baseBranch": "refs/heads/master",
          "command": undefined,
          "eventType": "push",
          "headBranch": "refs/heads/master",
          "iid": undefined,
          "sha": "da156088",
        },
        "service_merge_request.json": {
          "baseBranch": "master",
          "command": undefined,
          "eventType": "Merge Request",
          "headBranch": "next-feature",
          "iid": 2,
          "sha": "0ab96a10",
        },
        "tag_push.json": {
          "baseBranch": "refs/tags/v1.0.0",
          "command": undefined,
          "eventType": "Tag Push",
          "headBranch": "refs/tags/v1.0.0",
          "iid": undefined,
          "sha": "82b3d5ae",
        },
      }
    `);
  });
});

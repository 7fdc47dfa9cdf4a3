import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readMergeRequestAnswer } from '../../src/forge/merge-requests.ts';
import { type GitLab, startGitLab } from '../../src/sandbox/gitlab/server.ts';
import { freePort } from '../../src/sandbox/ports.ts';
import { type Meddle, startGitLabRelay } from '../support/gitlab-relay.ts';
import { SOAK } from '../support/soak.ts';
import { Recording } from './gitlab/recording.ts';
import { SCENARIOS } from './gitlab/scenarios.ts';

/** `make test-gitlab`, on the imitation: so it is known to run, and to tell what it should of any other GitLab. */

let dir: string;
let gitlab: GitLab;
let token: string;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-test-gitlab-'));
  gitlab = await startGitLab({ dir: join(dir, 'gitlab') });
  token = gitlab.createUser({ username: 'tester', name: 'Tess Tester', email: 'tess@example.net' }).token;
});
afterAll(async () => {
  await gitlab?.close();
  rmSync(dir, { recursive: true, force: true });
});

interface Ran {
  code: number;
  report: string;
  recordings: string;
}

/** Runs the program that the make target runs. */
async function testGitLab(env: Record<string, string>): Promise<Ran> {
  const recordings = mkdtempSync(join(dir, 'recordings-'));
  const program = join(import.meta.dirname, 'gitlab/main.ts');
  const all = { PATH: process.env.PATH ?? '', TMPDIR: tmpdir(), RECORDINGS: recordings, ...env };
  return new Promise((done) => {
    execFile(process.execPath, [program], { env: all }, (failure, stdout, stderr) =>
      done({ code: failure === null ? 0 : Number(failure.code), report: stdout + stderr, recordings }),
    );
  });
}

/** In `make test` those that no other test of the imitation is like; the soak tries all. */
const ONLY = SOAK ? '.' : 'opened at once|is guarded|reverted once|protected|push rule|404|hooks';

test('on the imitation every scenario passes, nothing differs, and no secret is recorded', {
  timeout: 600_000,
}, async () => {
  const hookUrl = `http://127.0.0.1:${await freePort()}/hook`;
  const ran = await testGitLab({ GITLAB_URL: gitlab.url, GITLAB_TOKEN: token, GITLAB_HOOK_URL: hookUrl, ONLY });
  const wanted = SCENARIOS.filter(({ name }) => new RegExp(ONLY).test(name));
  expect(wanted.length).toBeGreaterThan(6);
  for (const { name } of wanted) {
    const outcome = name.includes('push rule') ? 'skipped: this GitLab has no push rules (404)' : 'passed';
    expect(ran.report).toContain(`- ${name}: ${outcome}\n`);
  }
  expect(ran.report).toContain(`${wanted.length - 1} passed, 1 skipped, 0 failed`);
  expect(ran.report).toContain('no differences between this GitLab and the imitation');
  expect(ran.code).toBe(0);

  const [file = ''] = readdirSync(ran.recordings);
  const text = readFileSync(join(ran.recordings, file), 'utf8');
  const secrets = [
    token,
    Buffer.from(`oauth2:${token}`).toString('base64'),
    'tester',
    'Tess',
    'tess@',
    gitlab.url,
    hookUrl,
  ];
  for (const secret of secrets) expect([secret, text.includes(secret)]).toEqual([secret, false]);
  expect(ran.report).not.toContain(token);

  const { gitlab: recorded, scenarios } = Recording.parse(JSON.parse(text));
  expect(recorded.version).toMatch(/^\d+\.\d+/);
  const answers = scenarios.flatMap((scenario) => scenario.answers);
  const mergeRequests = answers.filter(
    ({ call, status }) => call === 'GET /projects/:id/merge_requests/:n' && status === 200,
  );
  expect(mergeRequests.length).toBeGreaterThan(3);
  for (const { body } of mergeRequests) expect(readMergeRequestAnswer(body)).toHaveProperty('iid', 1);
  expect(scenarios.flatMap(({ hooks }) => hooks.map(({ event }) => event))).toContain('Merge Request Hook open');

  const headers = { 'private-token': gitlab.adminToken };
  expect(await (await fetch(`${gitlab.url}/api/v4/projects`, { headers })).json()).toEqual([]);
});

/** The report on a GitLab whose answers are changed on their way, for one scenario. */
async function meddled(only: string, meddle: Meddle): Promise<Ran> {
  const relay = await startGitLabRelay(gitlab.url);
  relay.meddle(meddle);
  try {
    return await testGitLab({ GITLAB_URL: relay.url, GITLAB_TOKEN: token, ONLY: only });
  } finally {
    await relay.close();
  }
}

test('what another GitLab answers otherwise is told: a field, a type, a text, and what the service cannot work with', {
  timeout: 300_000,
}, async () => {
  const differing = await meddled('^what is not there|^a second merge request', ({ path, status, body }) => {
    if (status === 404) body.message = 'Nothing of that name';
    if (status !== 200 || !/merge_requests\/\d+$/.test(path)) return;
    body.title = { text: body.title };
    delete body.prepared_at;
  });
  expect(differing.code).toBe(0);
  expect(differing.report).toContain(
    'what is not there is told by 404: the imitation does not answer 404 {"message":"Nothing of that name"} to GET /projects/:id/repository/branches/:branch',
  );
  expect(differing.report).toContain('PUT /projects/:id/merge_requests/:n: the imitation alone has prepared_at');
  expect(differing.report).toContain(
    'PUT /projects/:id/merge_requests/:n: title is object, and string of the imitation',
  );

  const unusable = await meddled('^a commit gets statuses', (exchange) => {
    if (exchange.status === 400) exchange.status = 201;
  });
  expect(unusable.code).toBe(1);
  expect(unusable.report).toMatch(/- a commit gets statuses, and none twice: failed: /);
});

test('without a URL or a token, or with a wrong one, it says what to do', async () => {
  expect(await testGitLab({ GITLAB_URL: gitlab.url })).toMatchObject({
    code: 2,
    report: expect.stringContaining('docs/development.md'),
  });
  const wrong = await testGitLab({ GITLAB_URL: gitlab.url, GITLAB_TOKEN: 'glpat-nobody-has-this-one' });
  expect(wrong.code).not.toBe(0);
  expect(wrong.report).toContain('GitLab answers 401 to GET /version: look at the URL and the token');
});

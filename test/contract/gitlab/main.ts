import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type GitLab, startGitLab } from '../../../src/sandbox/gitlab/server.ts';
import { freePort } from '../../../src/sandbox/ports.ts';
import { differences } from './differences.ts';
import type { Recording } from './recording.ts';
import type { Target } from './scene.ts';
import { tryGitLab } from './suite.ts';

/**
 * The contract suite against a GitLab of anybody's (docs/development.md): GITLAB_URL, GITLAB_TOKEN; GITLAB_GROUP,
 * GITLAB_HOOK_URL, GITLAB_HOOK_PORT, RECORDINGS, ONLY. Ends with 1 where the service could not work with that GitLab.
 */
const say = (line: string) => console.log(line);
const { GITLAB_URL: url, GITLAB_TOKEN: token, RECORDINGS = '.recordings' } = process.env;
if (!url || !token) {
  console.error('GITLAB_URL and GITLAB_TOKEN must be set in the environment: see docs/development.md');
  process.exit(2);
}
const { ONLY, GITLAB_GROUP: group, GITLAB_HOOK_URL: hookUrl, GITLAB_HOOK_PORT: hookPort } = process.env;
const target: Target = {
  url: url.replace(/\/+$/, ''),
  token,
  group: group || undefined,
  hookUrl: hookUrl || undefined,
  hookPort: hookPort ? Number(hookPort) : undefined,
};

say(`GitLab at ${target.url}`);
const only = new RegExp(ONLY || '.');
const theirs = await tryGitLab(target, { only, report: say });
const { version, enterprise } = theirs.gitlab;
await mkdir(RECORDINGS, { recursive: true });
const file = join(RECORDINGS, `gitlab-${version.replace(/[^\w.-]/g, '-')}${enterprise ? '-ee' : ''}.json`);
await writeFile(file, `${JSON.stringify(theirs, null, 1)}\n`);
const count = (which: string) => theirs.scenarios.filter(({ outcome }) => outcome.startsWith(which)).length;
say(`\nGitLab ${version}: ${count('passed')} passed, ${count('skipped')} skipped, ${count('failed')} failed`);
say(`recorded in ${file}; look through it before you send it`);

const found = differences(theirs, await imitated(version), 'the imitation');
say(`\n${found.length === 0 ? 'no differences' : `${found.length} differences`} between this GitLab and the imitation`);
for (const line of found) say(`- ${line}`);
process.exitCode = count('failed') > 0 ? 1 : 0;

/** What the imitation answers to the same, as the GitLab of the version does. */
async function imitated(like: string): Promise<Recording> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-test-gitlab-'));
  let gitlab: GitLab | undefined;
  try {
    gitlab = await startGitLab({ dir, release: Number.parseInt(like, 10) < 19 ? 'older' : 'newest' });
    const hookUrl = `http://127.0.0.1:${await freePort()}/hook`;
    return await tryGitLab({ url: gitlab.url, token: gitlab.adminToken, hookUrl }, { only });
  } finally {
    await gitlab?.close();
    await rm(dir, { recursive: true, force: true });
  }
}

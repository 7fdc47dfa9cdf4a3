import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { run } from '../process/run.ts';
import { mask, registerSecret } from '../telemetry/secrets.ts';

export interface BranchContent {
  branch: string;
  /** Of a user who may push to the branch. */
  token: string;
  message: string;
  /** Writes the branch's content into the given checkout, which holds what is there now. */
  fill: (dir: string) => Promise<void>;
}

/** Milliseconds one git command may take. */
const TIMEOUT = 120_000;

/**
 * Brings a branch to the content wanted by one commit on top of it, or makes it; nothing is pushed where nothing changes.
 *
 * @param webUrl the project's URL without `.git`
 * @returns the newest commit of the branch
 * @throws Failure `push_refused` with git's words; the token is neither in its arguments nor in the checkout
 */
export async function pushBranchContent(webUrl: string, content: BranchContent): Promise<string> {
  const { branch, token, message, fill } = content;
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-branch-'));
  const auth = Buffer.from(`oauth2:${token}`).toString('base64');
  registerSecret(auth);
  const env = {
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: `http.${webUrl}.git.extraHeader`,
    GIT_CONFIG_VALUE_0: `Authorization: Basic ${auth}`,
    GIT_AUTHOR_NAME: 'Catalog owner',
    GIT_AUTHOR_EMAIL: 'owner@example.com',
    GIT_COMMITTER_NAME: 'Catalog owner',
    GIT_COMMITTER_EMAIL: 'owner@example.com',
  };
  const git = async (...args: string[]) => {
    const ran = await run('git', args, { cwd: dir, env, timeout: TIMEOUT });
    if (ran.exitCode !== 0) throw new Failure('push_refused', `git ${args[0]} failed: ${mask(ran.stderr.trim())}`);
    return ran.stdout.trim();
  };
  try {
    await git('init', '-q', '-b', branch);
    await git('remote', 'add', 'origin', `${webUrl}.git`);
    const exists = (await git('ls-remote', '--heads', 'origin', `refs/heads/${branch}`)) !== '';
    if (exists) {
      await git('fetch', '-q', '--depth', '1', 'origin', `refs/heads/${branch}`);
      await git('reset', '-q', '--hard', 'FETCH_HEAD');
    }
    await fill(dir);
    await git('add', '--all', '--force', '.');
    if (!exists || (await git('status', '--porcelain')) !== '') {
      await git('commit', '-q', '--allow-empty', '-m', message);
      await git('push', '-q', 'origin', `HEAD:refs/heads/${branch}`);
    }
    return await git('rev-parse', 'HEAD');
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

import { Failure } from '../errors/failure.ts';
import { type Ran, run } from '../process/run.ts';
import { mask, registerSecret } from '../telemetry/secrets.ts';
import type { RepositoryUrl } from './repository-url.ts';
import { isTemporary } from './temporary.ts';

/** A repository on GitLab and how to talk to it. */
export interface Remote {
  url: RepositoryUrl;
  token: string;
  /** Milliseconds a connection may stand still before git gives it up. */
  stall: number;
}

export interface GitOptions {
  /** The repository: a bare one's folder, or a workspace's `.git`. */
  gitDir: string;
  /** Present in workspaces; git runs in it. */
  workTree?: string;
  signal: AbortSignal;
  input?: string;
  env?: Record<string, string>;
}

/** No single git command of ours takes longer, a first fetch of a large history included. Milliseconds. */
const GIT_TIMEOUT = 15 * 60_000;

/**
 * Settings that win over every file: a repository's content and its neighbours on disk are not trusted. Nothing of it
 * runs as a hook or filter, becomes a symlink, or is read from another folder.
 */
const SETTINGS: Record<string, string> = {
  'core.hooksPath': '/dev/null',
  'core.symlinks': 'false',
  'core.fsmonitor': 'false',
  'core.attributesFile': '/dev/null',
  'core.excludesFile': '/dev/null',
  'core.autocrlf': 'false',
  'core.quotePath': 'false',
  'core.filesRefLockTimeout': '10000',
  'core.packedRefsTimeout': '10000',
  'credential.helper': '',
  'protocol.version': '2',
  'safe.directory': '*',
  'maintenance.auto': 'false',
  'fetch.recurseSubmodules': 'false',
  'push.recurseSubmodules': 'no',
  'submodule.recurse': 'false',
  'transfer.bundleURI': 'false',
  'advice.detachedHead': 'false',
  // A push up to this size goes in one piece with its length; proxies in front of GitLab refuse chunked bodies now and then.
  'http.postBuffer': String(32 * 1024 * 1024),
};

function environment(remote: Remote, options: GitOptions): Record<string, string> {
  const basic = Buffer.from(`oauth2:${remote.token}`).toString('base64');
  registerSecret(basic);
  const settings = Object.entries({
    ...SETTINGS,
    'http.lowSpeedLimit': '1',
    'http.lowSpeedTime': String(Math.max(1, Math.ceil(remote.stall / 1000))),
    [`http.${remote.url.git}.extraHeader`]: `Authorization: Basic ${basic}`,
  });
  return {
    LC_ALL: 'C',
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_ALLOW_PROTOCOL: 'http:https',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_DIR: options.gitDir,
    ...(options.workTree === undefined ? {} : { GIT_WORK_TREE: options.workTree }),
    ...options.env,
    GIT_CONFIG_COUNT: String(settings.length),
    ...Object.fromEntries(
      settings.flatMap(([key, value], at) => [
        [`GIT_CONFIG_KEY_${at}`, key],
        [`GIT_CONFIG_VALUE_${at}`, value],
      ]),
    ),
  };
}

/**
 * Runs git and gives its exit code and output. Objects that are missing here may be fetched from the remote on the way,
 * so every command gets its credentials, and gets them in the environment alone.
 *
 * @throws Failure `process_timeout`, `process_failed` (could not be started); the signal's reason when aborted
 */
export async function tryGit(remote: Remote, args: readonly string[], options: GitOptions): Promise<Ran> {
  return await run('git', args, {
    cwd: options.workTree ?? options.gitDir,
    env: environment(remote, options),
    timeout: GIT_TIMEOUT,
    signal: options.signal,
    ...(options.input === undefined ? {} : { input: options.input }),
  });
}

/**
 * Runs git and gives its standard output.
 *
 * @param doing begins the message when the remote is the reason, e.g. `Error cloning remote repository for {url}`
 * @throws Failure as `remoteFailure` says, `process_failed` for trouble of our own (a damaged repository), `local_shortage`
 */
export async function git(
  remote: Remote,
  doing: string,
  args: readonly string[],
  options: GitOptions,
): Promise<string> {
  const ran = await tryGit(remote, args, options);
  if (ran.exitCode === 0) return ran.stdout;
  throw remoteFailure(doing, ran) ?? localFailure(args, ran);
}

function localFailure(args: readonly string[], ran: Ran): Failure {
  return new Failure('process_failed', `git ${args[0]} failed with exit code ${ran.exitCode}`, {
    cause: new Error(mask(ran.stderr.trim())),
  });
}

/** What the server itself said: git repeats it with `remote:` before each line. */
function remoteLines(stderr: string): string {
  return stderr
    .split('\n')
    .flatMap((line) => /^remote:\s?(.*)$/.exec(line)?.[1] ?? [])
    .map((line) => line.replaceAll('\u001b[K', '').trim())
    .filter((line) => !/^[=-]*$/.test(line) && !/^(Enumerating|Counting|Compressing|Resolving|Total) /.test(line))
    .join(' ');
}

const TROUBLE: [RegExp, Failure['code'], string][] = [
  [
    /HTTP Basic: Access denied|Authentication failed|could not read (Username|Password)|returned error: 401/,
    'gitlab_denied',
    'GitLab refused the token: check that it is right and has not expired',
  ],
  [
    /archived project/,
    'gitlab_denied',
    'the project is archived: unarchive it, or let the index have another catalog repository',
  ],
  [/returned error: 413|HTTP 413/, 'push_refused', 'the change is larger than GitLab or a proxy before it accepts'],
  [
    /returned error: 403|HTTP 403/,
    'gitlab_denied',
    'GitLab denied access: check the role of the token and its scopes (api, write_repository)',
  ],
  [
    /repository '.*' not found|returned error: 404/,
    'gitlab_denied',
    'GitLab knows no such project, or the token has no access to it',
  ],
  [
    /SSL certificate problem|server certificate verification failed|no alternative certificate subject name/,
    'gitlab_refused',
    "GitLab's certificate is not trusted: check the CA certificates of this host",
  ],
  [/couldn't find remote ref|Remote branch .* not found/, 'branch_missing', 'the branch does not exist'],
  [/stale info/, 'push_refused', 'the branch was changed by somebody else at the same moment'],
  [/non-fast-forward|fetch first/, 'push_refused', 'the branch has commits this change is not built on'],
  [
    /\[remote rejected\]|\[rejected\]|hook declined|not allowed to push|protected branch/,
    'push_refused',
    'GitLab rejected the push',
  ],
  [
    /Could not resolve host|Failed to connect|Couldn't connect|Connection (refused|reset|timed out)|timed out|returned error: (408|429|5\d\d)|RPC failed|early EOF|unexpected disconnect|hung up|Empty reply|Recv failure|Send failure|transfer closed|Operation too slow|gnutls_handshake|SSL_(connect|read|ERROR)|not our ref/,
    'gitlab_unavailable',
    'GitLab cannot be reached or did not finish its answer',
  ],
];

/** Whatever git makes of it: 403, a declined hook, a broken connection. */
const PASSING: (typeof TROUBLE)[number] = [/./, 'gitlab_unavailable', 'GitLab takes no change at the moment'];

/**
 * The failure that git's words tell of when the remote is the reason (konflux-and-gitlab.md §4.4), else undefined.
 * Codes: `gitlab_denied`, `gitlab_refused`, `branch_missing`, `push_refused`, `gitlab_unavailable`. The message has
 * what GitLab said, nothing of ours.
 */
export function remoteFailure(doing: string, ran: Ran): Failure | undefined {
  const said = remoteLines(ran.stderr);
  const found = isTemporary(said) ? PASSING : TROUBLE.find(([pattern]) => pattern.test(ran.stderr));
  if (!found) return undefined;
  const [, code, sentence] = found;
  return new Failure(code, mask(`${doing}: ${said === '' ? sentence : `${sentence}: ${said}`}`), {
    cause: new Error(mask(ran.stderr.trim())),
  });
}

import type { Release } from './release.ts';
import { Refused } from './reply.ts';

/**
 * Every refusal of GitLab's that the service has to understand, one row each. The imitation's refusals are made from this
 * table, and so are the tests of the client (test/forge/refusals.test.ts). `docs/sandbox.md` lists the rows without a source.
 */
export interface Refusal {
  name: string;
  /** A key of `CALLS`. */
  call: keyof typeof CALLS;
  when: string;
  releases: Release | 'both';
  answer: RefusalAnswer;
  /** A file of gitlab-org/gitlab, its documentation or a report; null: nobody outside has confirmed it. */
  source: string | null;
}

/** `{name}` in a text stands for a value the imitation fills in. */
export type RefusalAnswer =
  | { status: number; body: unknown; headers?: Record<string, string> }
  /** The push is declined with this line: `remote: GitLab: …`. */
  | { declined: string }
  /** The merge is run and fails: 422, and `merge_error` of the merge request. */
  | { mergeError: string };

/** The calls as a method and a pattern of decoded paths. */
export const CALLS = {
  'create merge request': { method: 'POST', path: /\/merge_requests$/ },
  merge: { method: 'PUT', path: /\/merge_requests\/\d+\/merge$/ },
  'delete branch': { method: 'DELETE', path: /\/repository\/branches\/.+$/ },
  revert: { method: 'POST', path: /\/repository\/commits\/[0-9a-f]+\/revert$/ },
  // Refused at its first request, whose text git shows; of a later one it tells the status alone.
  push: { method: 'GET', path: /\/info\/refs\?service=git-receive-pack$/ },
  'any read': { method: 'GET', path: /^\/api\/v4\/projects\// },
} as const;

const message = (status: number, said: unknown) => ({ status, body: { message: said } });
const plain = (status: number, body: string, headers: Record<string, string> = {}) => ({
  status,
  body,
  headers: { 'Content-Type': 'text/plain; charset=utf-8', ...headers },
});
const page = (status: number, title: string) =>
  plain(status, `<html><head><title>${title}</title></head><body>nginx</body></html>`, { 'Content-Type': 'text/html' });

const CANNOT_BE_MERGED = message(422, 'Branch cannot be merged');
const NOT_ALLOWED = message(405, '405 Method Not Allowed');
const MERGE_API = 'lib/api/merge_requests.rb';
const MERGE_API_OLD = 'lib/api/merge_requests.rb of 16';
const MERGE_SERVICE = 'app/services/merge_requests/merge_service.rb';
const MERGE_HELPERS = 'lib/api/helpers/merge_requests_helpers.rb';
const BRANCH_CHECK = 'lib/gitlab/checks/branch_check.rb';
const GIT_ACCESS = 'lib/gitlab/git_access.rb';
const HOOK = 'Something went wrong during merge pre-receive hook.';
const SAME_BRANCHES = "You can't use same project/branch for source and target";
const REVERT =
  'Sorry, we cannot {kind} this commit automatically. This commit may already have been {kind}ed, or a more recent commit may have updated some of its content.';

type Row = [
  name: string,
  call: Refusal['call'],
  releases: Refusal['releases'],
  when: string,
  answer: RefusalAnswer,
  source: string | null,
];

// biome-ignore format: one row each
const ROWS: Row[] = [
  ['create-source-unknown', 'create merge request', 'newest', 'the push of the source branch is not processed yet', message(400, { source_branch: ['does not exist'] }), 'gitlab-org/gitlab!225254, renovatebot/renovate#44498'],
  ['create-target-unknown', 'create merge request', 'newest', 'the push of the target branch is not processed yet', message(400, { target_branch: ['does not exist'] }), null],
  ['create-source-unknown-sentence', 'create merge request', 'newest', 'the same as a sentence', message(422, ['Source branch "{branch}" does not exist']), null],
  ['create-duplicate', 'create merge request', 'both', 'another one is open', message(409, ['Another open merge request already exists for this source branch: !{iid}']), 'app/models/merge_request.rb (validate_branches)'],
  ['create-same-branches', 'create merge request', 'newest', 'source and target are one branch', message(422, [SAME_BRANCHES]), MERGE_HELPERS],
  ['create-same-branches', 'create merge request', 'older', 'source and target are one branch', { status: 422, body: { error: [SAME_BRANCHES] } }, 'lib/api/merge_requests.rb of 12'],
  ['create-title-missing', 'create merge request', 'both', 'a parameter is missing', { status: 400, body: { error: 'title is missing' } }, 'documentation: REST API, data validation and error reporting'],
  ['create-forbidden', 'create merge request', 'both', 'the role does not allow it, or the project is archived', message(403, '403 Forbidden'), 'lib/api/helpers.rb'],

  ['merge-unauthorized', 'merge', 'both', 'the user may not merge into the target', message(401, '401 Unauthorized'), MERGE_API],
  ['merge-sha', 'merge', 'both', 'the head is another commit', message(409, 'SHA does not match HEAD of source branch: {sha}'), MERGE_API],
  ['merge-sha-required', 'merge', 'newest', 'the group asks for a SHA and none is given', message(400, 'SHA must be provided when merging'), MERGE_API],
  ['merge-not-ready', 'merge', 'both', 'still checked, a draft, not open, threads, pipelines', NOT_ALLOWED, MERGE_API],
  ['merge-conflict', 'merge', 'newest', 'a conflict, or a rebase is needed', NOT_ALLOWED, MERGE_API],
  ['merge-conflict', 'merge', 'older', 'a conflict, or a rebase is needed', CANNOT_BE_MERGED, MERGE_API_OLD],
  ['merge-conflict-406', 'merge', 'older', 'the same before 422 came', message(406, 'Branch cannot be merged'), 'lib/api/merge_requests.rb of 11'],
  ['merge-failed', 'merge', 'both', 'it was run and failed without a reason', CANNOT_BE_MERGED, MERGE_API],
  ['merge-hook', 'merge', 'both', 'it was run and a hook or push rule declined it', { mergeError: `${HOOK} GitLab: {said}` }, MERGE_SERVICE],
  ['merge-hook-500', 'merge', 'both', 'it was run and the check of the push did not answer', { mergeError: `${HOOK} 500 Internal Server Error. Try again.` }, 'documentation: merge requests, troubleshooting'],
  ['merge-hook-unreachable', 'merge', 'both', 'it was run and the internal API was away', { mergeError: `${HOOK} GitLab: Internal API unreachable` }, null],
  ['merge-error', 'merge', 'both', 'it was run and git or Gitaly failed', { mergeError: 'An error occurred while merging' }, MERGE_SERVICE],
  ['merge-head-moved', 'merge', 'both', 'it was run and the branch had been pushed to', { mergeError: 'Branch has been updated since the merge was requested. Please review the changes.' }, MERGE_SERVICE],
  ['merge-not-fast-forward', 'merge', 'both', 'it was run and the target had moved', { mergeError: 'Only fast-forward merge is allowed for your project. Please update your source branch' }, 'app/services/merge_requests/merge_strategies/from_source_branch.rb'],
  ['merge-conflicts-detected', 'merge', 'older', 'it was run and conflicted', { mergeError: 'Conflicts detected during merge' }, 'app/services/merge_requests/merge_service.rb of 12'],

  ['delete-unknown', 'delete branch', 'both', 'gone', message(404, '404 Branch Not Found'), 'lib/api/branches.rb'],
  ['delete-not-processed', 'delete branch', 'both', 'the push of the branch is not processed yet', message(404, '404 Branch Not Found'), null],
  ['delete-no-right', 'delete branch', 'both', 'no right to push', message(405, 'You dont have push access to repo'), 'app/services/branches/delete_service.rb'],
  ['delete-protected', 'delete branch', 'both', 'protected, and the role is below Maintainer', message(400, 'GitLab: You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch.'), BRANCH_CHECK],
  ['delete-default', 'delete branch', 'both', 'the default branch', message(400, 'GitLab: The default branch of a project cannot be deleted.'), BRANCH_CHECK],
  ['delete-hook', 'delete branch', 'both', 'a hook or rule forbids it', message(400, 'GitLab: {said}'), 'app/services/branches/delete_service.rb'],
  ['delete-hook-500', 'delete branch', 'both', 'the check of the deletion did not answer', message(400, 'GitLab: 500 Internal Server Error'), null],

  ['revert-empty', 'revert', 'both', 'nothing is left to revert', { status: 400, body: { message: REVERT, error_code: 'empty' } }, 'lib/api/commits.rb, app/services/commits/change_service.rb (the text of the newest differs)'],
  ['revert-conflict', 'revert', 'both', 'later commits changed the same lines', { status: 400, body: { message: REVERT, error_code: 'conflict' } }, 'lib/api/commits.rb, app/services/commits/change_service.rb (the text of the newest differs)'],
  ['revert-forbidden', 'revert', 'both', 'no right to push to the branch', message(403, '403 Forbidden - You are not allowed to push into this branch'), 'lib/api/commits.rb'],

  ['push-archived', 'push', 'newest', 'the project is archived', plain(403, "You can't push code to an archived project."), GIT_ACCESS],
  ['push-archived', 'push', 'older', 'the project is archived', plain(403, 'You are not allowed to push code to this project.'), 'lib/gitlab/git_access.rb of 13'],
  ['push-no-right', 'push', 'both', 'the role does not allow it', plain(403, 'You are not allowed to push code to this project.'), GIT_ACCESS],
  ['push-instance-read-only', 'push', 'both', 'the instance is in maintenance', plain(403, "You can't push code to a read-only GitLab instance."), GIT_ACCESS],
  ['push-repository-read-only', 'push', 'both', 'the repository is being moved', plain(403, 'The repository is temporarily read-only. Please try again later.'), GIT_ACCESS],
  ['push-gitaly-away', 'push', 'both', 'Gitaly does not answer', plain(503, 'The git server, Gitaly, is not available at this time. Please contact your administrator.'), 'app/controllers/repositories/git_http_controller.rb'],
  ['push-protected', 'push', 'both', 'the branch is protected', { declined: 'You are not allowed to push code to protected branches on this project.' }, BRANCH_CHECK],
  ['push-rule', 'push', 'both', 'a hook or push rule declines it', { declined: '{said}' }, null],
  ['push-api-away', 'push', 'both', 'the internal API does not answer', { declined: 'API is not accessible' }, 'gitlabhq/gitlabhq#8660, sameersbn/docker-gitlab#256'],
  ['push-api-unreachable', 'push', 'both', 'the internal API cannot be reached', { declined: 'Internal API unreachable' }, 'NixOS/nixpkgs#120947'],
  ['push-api-500', 'push', 'both', 'the internal API fails', { declined: '500 Internal Server Error' }, 'gitlabhq/gitlabhq#9575'],

  ['maintenance', 'create merge request', 'newest', 'the instance is in maintenance', message(503, 'GitLab is undergoing maintenance'), null],
  ['maintenance', 'create merge request', 'older', 'the instance is in maintenance', message(403, 'You cannot perform write operations on a read-only instance'), 'documentation: administration, maintenance mode, REST API'],
  ['maintenance-merge', 'merge', 'older', 'the instance is in maintenance', message(403, 'You cannot perform write operations on a read-only instance'), 'documentation: administration, maintenance mode, REST API'],
  ['maintenance-delete', 'delete branch', 'older', 'the instance is in maintenance', message(403, 'You cannot perform write operations on a read-only instance'), 'documentation: administration, maintenance mode, REST API'],
  ['rate-limit', 'any read', 'both', 'too many requests', plain(429, 'Retry later\n', { 'Retry-After': '3' }), 'documentation: security, rate limits, Rack::Attack'],
  ['rate-limit-application', 'any read', 'both', 'too many requests for one endpoint', message(429, { error: 'This endpoint has been requested too many times. Try again later.' }), 'lib/gitlab/application_rate_limiter.rb; that Retry-After is missing: gitlab-org/gitlab#365728'],
  ['bad-gateway', 'any read', 'both', 'the proxy gets no answer', page(502, '502 Bad Gateway'), 'reports in konflux-and-gitlab.md §4.4'],
  ['time-out', 'any read', 'both', 'a query takes too long', { status: 408, body: { message: { error: 'Request timed out' } } }, MERGE_API],
  ['token-wrong', 'any read', 'both', 'nobody has this token', message(401, '401 Unauthorized'), 'lib/api/helpers.rb'],
  ['token-expired', 'any read', 'both', 'the token has expired', { status: 401, body: { error: 'invalid_token', error_description: 'Token is expired. You can either do re-authorization or token refresh.' } }, 'lib/api/api_guard.rb'],
  ['token-scope', 'any read', 'both', 'the scope does not suffice', { status: 403, body: { error: 'insufficient_scope', error_description: 'The request requires higher privileges than provided by the access token.', scope: 'api read_api' } }, 'lib/api/api_guard.rb'],
];

export const REFUSALS: readonly Refusal[] = ROWS.map(([name, call, releases, when, answer, source]) => ({
  name,
  call,
  releases,
  when,
  answer,
  source,
}));

/** The row for a release, its texts filled in. */
export function findRefusal(release: Release, name: string, values: Record<string, string | number> = {}): Refusal {
  const found = REFUSALS.find((row) => row.name === name && (row.releases === 'both' || row.releases === release));
  if (found === undefined) throw new Error(`no refusal ${name} of the ${release} GitLab`);
  return { ...found, answer: filled(found.answer, values) };
}

function filled<T>(value: T, values: Record<string, string | number>): T {
  if (typeof value === 'string') {
    return value.replace(/\{(\w+)\}/g, (whole, key: string) => String(values[key] ?? whole)) as T;
  }
  if (Array.isArray(value)) return value.map((each) => filled(each, values)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each, values)])) as T;
}

/** The refusal as what a handler throws. @throws Error for a row that is no answer to a REST call */
export function refusal(
  { release }: { release: Release },
  name: string,
  values: Record<string, string | number> = {},
): Refused {
  const { answer } = findRefusal(release, name, values);
  if (!('status' in answer)) throw new Error(`the refusal ${name} is no answer`);
  const { status, body, headers = {} } = answer;
  return new Refused({ status, headers, ...(typeof body === 'string' ? { raw: body } : { body }) });
}

/**
 * What GitLab's `detailed_merge_status` asks for (konflux-and-gitlab.md §4.1):
 *
 * - `go`: merge now.
 * - `rebuild`: the change does not fit its target any more; it must be made again.
 * - `wait`: GitLab or a machine is at work.
 * - `person`: somebody has to act on the merge request; it may still be merged in time.
 * - `rule`: the project asks for something that waiting does not bring: it must be configured otherwise.
 */
export interface MergeStatus {
  meaning: 'go' | 'rebuild' | 'wait' | 'person' | 'rule';
  /** What a person has to do, as the end of `merge request 12: …`; null where nobody has to do anything. */
  remedy: string | null;
}

const wait = (remedy: string | null = null): MergeStatus => ({ meaning: 'wait', remedy });
const person = (remedy: string): MergeStatus => ({ meaning: 'person', remedy });
const rule = (remedy: string): MergeStatus => ({ meaning: 'rule', remedy });

const POLICY = 'it violates a security policy: approve it as the policy says, or exempt the project from it';
const BLOCKED = 'it is blocked by another merge request: merge that one, or take it off its dependencies';
const CHECKS = 'external status checks must pass: see that they are answered, or do not require them';
const DRAFT = 'somebody has marked it as a draft: mark it as ready';

const KNOWN: Record<string, MergeStatus> = {
  mergeable: { meaning: 'go', remedy: null },

  need_rebase: { meaning: 'rebuild', remedy: null },
  conflict: { meaning: 'rebuild', remedy: null },
  broken_status: { meaning: 'rebuild', remedy: null },

  unchecked: wait(),
  checking: wait(),
  preparing: wait(),
  approvals_syncing: wait(),
  // Also while GitLab has not processed the push of a branch that exists.
  commits_status: wait(),
  merge_time: wait(),
  ci_still_running: wait(),
  ci_must_pass: wait('its pipeline must succeed: see that the status of its commit arrives'),
  status_checks_must_pass: wait(CHECKS),
  external_status_checks: wait(CHECKS),
  security_policy_pipeline_check: wait('the pipelines of a security policy must succeed: see that they run'),

  not_approved: person('it needs approval: approve it, or require none for merge requests of this service'),
  requested_changes: person('a reviewer has requested changes: take the request back'),
  discussions_not_resolved: person('threads are open: resolve them'),
  draft_status: person(DRAFT),
  merge_request_blocked: person(BLOCKED),
  blocked_status: person(BLOCKED),
  security_policy_violations: person(POLICY),
  policies_denied: person(POLICY),
  locked_paths: person('somebody has locked files it changes: unlock them'),
  locked_lfs_files: person('somebody has locked LFS files it changes: unlock them'),

  title_regex: rule('the project asks for another form of title: let its rule take the titles this service writes'),
  jira_association_missing: rule('the project asks for a Jira issue in each title: do not require it there'),
};

/** What a status asks for; one that is not known may be new in GitLab: it is waited for. */
export function mergeStatus(word: string): MergeStatus {
  return KNOWN[word] ?? wait();
}

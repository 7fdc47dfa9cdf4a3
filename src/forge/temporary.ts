/**
 * What GitLab says when it refuses now and will not refuse later: an instance in maintenance, a repository that is being
 * moved, a part of GitLab that does not answer another (konflux-and-gitlab.md §4.4). The same words come with 403, in the
 * lines of a declined push, and as `merge_error`.
 */
const TEMPORARY = [
  /temporarily read-only/i,
  /read-only (GitLab )?instance/i,
  /undergoing maintenance|(in|under) maintenance|maintenance mode/i,
  /API is not accessible/i,
  /internal API (is )?unreachable/i,
  /\b50[0-4]\b.{0,3}(Internal Server Error|Bad Gateway|Service (Temporarily )?Unavailable|Gateway Time-?out)/i,
  /Internal Server Error/i,
  /Gitaly,? is not available|not available at this time/i,
  /operation timed out|deadline exceeded/i,
  /try again later/i,
];

/** Whether a refusal passes by itself, by GitLab's own words for it. */
export function isTemporary(said: string): boolean {
  return TEMPORARY.some((words) => words.test(said));
}

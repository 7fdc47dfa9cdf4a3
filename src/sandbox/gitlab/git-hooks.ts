import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * GitLab's checks of a push, run by git itself before any ref moves: all or nothing, each refusal a `remote:` line
 * (konflux-and-gitlab.md §4.4). The rules come by environment (git-http.ts).
 */
const PRE_RECEIVE = `#!/bin/sh
zero=0000000000000000000000000000000000000000
decline() { echo "GitLab: $1" >&2; exit 1; }
[ -z "$GITLAB_DECLINE" ] || decline "$GITLAB_DECLINE"
set -f
listed() {
  IFS='
'
  for pattern in $2; do
    case "$1" in $pattern) return 0 ;; esac
  done
  return 1
}
while read -r old new ref; do
  case "$ref" in
    refs/heads/*) ;;
    refs/tags/*) continue ;;
    refs/merge-requests/*|refs/keep-around/*|refs/pipelines/*|refs/environments/*)
      decline "You are not allowed to update this ref: it is hidden." ;;
    *) continue ;;
  esac
  if [ "$new" = $zero ] && [ "$ref" = "$GITLAB_DEFAULT" ]; then
    decline "The default branch of a project cannot be deleted."
  fi
  listed "$ref" "$GITLAB_PROTECTED" || continue
  if [ "$new" = $zero ]; then
    listed "$ref" "$GITLAB_PUSHABLE" || decline "You are not allowed to delete protected branches from this project. Only a project maintainer or owner can delete a protected branch."
    decline "You can only delete protected branches using the web interface."
  fi
  listed "$ref" "$GITLAB_PUSHABLE" || decline "You are not allowed to push code to protected branches on this project."
  if [ "$old" != $zero ] && ! git merge-base --is-ancestor "$old" "$new"; then
    listed "$ref" "$GITLAB_FORCEABLE" || decline "You are not allowed to force push code to a protected branch on this project."
  fi
done
`;

/** Tells the server which refs have moved, and the pusher where to open a merge request. */
const POST_RECEIVE = `#!/bin/sh
zero=0000000000000000000000000000000000000000
while read -r old new ref; do
  echo "$old $new $ref" >> "$GITLAB_MOVED"
  branch=\${ref#refs/heads/}
  if [ "$old" = $zero ] && [ "$branch" != "$ref" ] && [ "$ref" != "$GITLAB_DEFAULT" ] && [ -n "$GITLAB_DEFAULT" ]; then
    echo
    echo "To create a merge request for $branch, visit:"
    echo "  $GITLAB_URL/-/merge_requests/new?merge_request%5Bsource_branch%5D=$(echo "$branch" | sed 's|/|%2F|g')"
    echo
  fi
done
`;

/** Writes the hooks all repositories share. */
export async function writeGitHooks(dir: string): Promise<void> {
  const hooks = join(dir, 'githooks');
  await mkdir(hooks, { recursive: true });
  await writeFile(join(hooks, 'pre-receive'), PRE_RECEIVE, { mode: 0o755 });
  await writeFile(join(hooks, 'post-receive'), POST_RECEIVE, { mode: 0o755 });
}

import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import { orNull } from '../onboarding/rest.ts';
import { restClient } from './rest.ts';

const Branch = z.object({ commit: z.object({ id: z.string() }) });

/**
 * Waits until GitLab's REST API shows a commit that was pushed as the tip of its branch. GitLab shows a push some time
 * after git has taken it: who looks at once sees the branch as it was.
 *
 * @throws Failure `gitlab_unavailable` when GitLab does not show it within a minute and a half
 */
export async function untilShown(
  { catalogRepoUrl, branch, token }: { catalogRepoUrl: string; branch: string; token: string },
  commit: string,
): Promise<void> {
  const { origin, pathname } = new URL(catalogRepoUrl);
  const gitlab = restClient(`${origin}/api/v4`, { 'private-token': token });
  const path = `/projects/${encodeURIComponent(pathname.slice(1))}/repository/branches/${encodeURIComponent(branch)}`;
  await patiently({ total: 90_000, first: 50, longest: 500 }, new AbortController().signal, async () => {
    // A branch that was just made is not known at all.
    const shown = await orNull(gitlab('GET', path, Branch));
    if (shown?.commit.id !== commit)
      throw new Failure('gitlab_unavailable', `GitLab does not show the push to ${branch} yet`);
  });
}

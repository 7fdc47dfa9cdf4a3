import { z } from 'zod';
import { Anything, type Rest } from './rest.ts';

/** A setting of a GitLab project that the service's merge requests depend on. */
interface Setting {
  /** As GitLab's API names it. */
  name:
    | 'merge_method'
    | 'squash_option'
    | 'only_allow_merge_if_pipeline_succeeds'
    | 'only_allow_merge_if_all_discussions_are_resolved';
  recommended: string | boolean;
  /** Values that serve as well. */
  accepted: readonly (string | boolean)[];
  /** What another value leads to. */
  otherwise: string;
}

/** What docs/catalog-repository.md recommends, and why. */
export const RECOMMENDED: readonly Setting[] = [
  {
    name: 'merge_method',
    recommended: 'ff',
    accepted: [],
    otherwise: 'GitLab may merge a change onto another commit than the one its image was built on',
  },
  {
    name: 'squash_option',
    recommended: 'default_on',
    accepted: ['default_off', 'always'],
    otherwise: 'a change of several requests leaves a commit for each, and as many reverts when it is undone',
  },
  {
    name: 'only_allow_merge_if_pipeline_succeeds',
    recommended: false,
    accepted: [],
    otherwise: 'a merge also waits for the status of every pipeline, those of others included',
  },
  {
    name: 'only_allow_merge_if_all_discussions_are_resolved',
    recommended: false,
    accepted: [],
    otherwise: 'a comment that opens a thread holds up the merge until it is resolved',
  },
];

const Value = z.union([z.string(), z.boolean()]).nullish();
const Settings = z.object(
  Object.fromEntries(RECOMMENDED.map(({ name }) => [name, Value])) as Record<Setting['name'], typeof Value>,
);

/**
 * Compares a project's settings with the recommended ones and, where asked, sets those that differ. A setting that this
 * GitLab does not tell is passed over.
 *
 * @param how `check` changes nothing; `set` needs a token of a Maintainer
 * @returns a line for each setting that differs, or that was set
 * @throws Failure `gitlab_refused`, `gitlab_unavailable`
 */
export async function projectSettings(gitlab: Rest, project: number, how: 'check' | 'set'): Promise<string[]> {
  const path = `/projects/${project}`;
  const now = await gitlab('GET', path, Settings);
  const differing = RECOMMENDED.filter(({ name, recommended, accepted }) => {
    const value = now[name];
    return value !== undefined && value !== null && value !== recommended && !accepted.includes(value);
  });
  if (how === 'check') {
    return differing.map(
      ({ name, recommended, otherwise }) =>
        `warning: the project's ${name} is ${now[name]}, recommended is ${recommended}: otherwise ${otherwise}`,
    );
  }
  if (differing.length === 0) return [];
  const wanted = Object.fromEntries(differing.map(({ name, recommended }) => [name, recommended]));
  await gitlab('PUT', path, Anything, wanted);
  return differing.map(({ name, recommended }) => `the project's ${name} is ${recommended} now, it was ${now[name]}`);
}

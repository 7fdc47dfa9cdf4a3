import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, isSeq, parseAllDocuments, type YAMLMap } from 'yaml';
import { pushBranchContent } from '../onboarding/branch.ts';
import { untilShown } from './shown-push.ts';

/** The catalog branch whose pipeline is changed, and who pushes the commit. */
export interface PipelineChange {
  catalogRepoUrl: string;
  branch: string;
  token: string;
}

/**
 * Puts a task that refuses everything before the tasks of a catalog branch's pipeline, by a commit, as a team would add
 * a policy check of its own.
 */
export function breakPipeline(change: PipelineChange): Promise<void> {
  return changePipeline(change, 'Check the policy before the build', (run) => {
    const tasks = run.getIn(['spec', 'pipelineSpec', 'tasks']);
    if (!isSeq<YAMLMap>(tasks)) throw new Error('a PipelineRun without tasks of its own cannot be given one');
    // Beside the others, it would be chance how many of them have begun when it fails.
    for (const task of tasks.items) if (!task.has('runAfter')) task.set('runAfter', run.createNode([POLICY.name]));
    tasks.add(run.createNode(POLICY));
  });
}

/**
 * Changes the PipelineRun templates of a catalog branch by a commit, and waits until GitLab shows it.
 *
 * @param edit changes the document it is given
 * @throws Failure `gitlab_unavailable` when GitLab does not show it within a minute and a half
 */
export async function changePipeline(
  { catalogRepoUrl, branch, token }: PipelineChange,
  message: string,
  edit: (run: Document) => void,
): Promise<void> {
  const commit = await pushBranchContent(catalogRepoUrl, {
    branch,
    token,
    message,
    fill: async (dir) => {
      for (const name of await readdir(join(dir, '.tekton'))) {
        const file = join(dir, '.tekton', name);
        const documents = parseAllDocuments(await readFile(file, 'utf8'));
        for (const document of documents) if (document.get('kind') === 'PipelineRun') edit(document);
        await writeFile(file, documents.map(String).join('---\n'));
      }
    },
  });
  await untilShown({ catalogRepoUrl, branch, token }, commit);
}

const POLICY = {
  name: 'policy',
  taskSpec: {
    steps: [
      {
        name: 'check',
        image: 'localhost/indexwright:latest',
        script: '#!/bin/sh\necho "the policy of this catalog refuses the change" >&2\nexit 1\n',
      },
    ],
  },
};

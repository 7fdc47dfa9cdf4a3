import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { pushBranchContent } from './catalog-repository.ts';

/**
 * Adds a task that refuses everything to the pipeline of a catalog branch, by a commit, as a team would add a policy
 * check of its own.
 */
export async function breakPipeline({
  catalogRepoUrl,
  branch,
  token,
}: {
  catalogRepoUrl: string;
  branch: string;
  token: string;
}): Promise<void> {
  await pushBranchContent(
    { id: 0, webUrl: catalogRepoUrl },
    {
      branch,
      token,
      message: 'Check the policy before the build',
      fill: async (dir) => {
        for (const name of await readdir(join(dir, '.tekton'))) {
          const file = join(dir, '.tekton', name);
          const documents = parseAllDocuments(await readFile(file, 'utf8'));
          for (const document of documents) {
            if (document.get('kind') !== 'PipelineRun') continue;
            document.addIn(['spec', 'pipelineSpec', 'tasks'], document.createNode(REFUSING_TASK));
          }
          await writeFile(file, documents.map(String).join('---\n'));
        }
      },
    },
  );
}

const REFUSING_TASK = {
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

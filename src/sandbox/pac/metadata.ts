import { posix } from 'node:path';
import type { KubeObject } from '../kubernetes/object.ts';
import type { Event } from './hook.ts';
import type { Repository } from './repository.ts';

export const PAC = 'pipelinesascode.tekton.dev/';
export const MANAGED_BY = 'app.kubernetes.io/managed-by';
export const MANAGER = 'pipelinesascode.tekton.dev';

/** Label values as Pipelines-as-Code cleans them, its order of steps included (konflux-and-gitlab.md §1.3). */
export function cleanLabel(value: string): string {
  const end = value.length >= 63 ? value.slice(-62) : value;
  return end
    .replace(/^[ \-_[\]]+|[ \-_[\]]+$/g, '')
    .replace(/[:/]/g, '-')
    .replaceAll(' ', '_')
    .replace(/[[\]]/g, '__');
}

/** What is written on a run both as label (cleaned) and annotation (raw), and what as annotation only. */
export function runMetadata(event: Event, repository: Repository, template: string, version: string) {
  const both: Record<string, string> = {
    'url-org': posix.dirname(event.projectPath),
    'url-repository': posix.basename(event.projectPath),
    sha: event.sha,
    'event-type': event.eventType,
    repository: repository.name,
    'original-prname': template,
    state: 'started',
    ...(event.iid === undefined ? {} : { 'pull-request': String(event.iid) }),
  };
  const annotationOnly: Record<string, string> = {
    'sha-title': event.shaTitle,
    'sha-url': event.shaUrl,
    'repo-url': event.repoUrl,
    'source-repo-url': event.sourceUrl,
    sender: event.sender,
    branch: event.baseBranch,
    'source-branch': event.headBranch,
    'git-provider': 'gitlab',
    'source-project-id': String(event.sourceProjectId),
    'target-project-id': String(event.targetProjectId),
    'controller-info': JSON.stringify({
      name: 'default',
      configmap: 'pipelines-as-code',
      secret: 'pipelines-as-code-secret',
      gRepo: 'pipelines-as-code',
    }),
  };
  return {
    labels: {
      [MANAGED_BY]: MANAGER,
      'app.kubernetes.io/version': version,
      ...prefixed(Object.fromEntries(Object.entries(both).map(([key, value]) => [key, cleanLabel(value)]))),
    },
    annotations: prefixed({ ...both, ...annotationOnly }),
  };
}

/** One of our annotations of a run. */
export const note = ({ metadata }: KubeObject, key: string): string | undefined => metadata.annotations?.[PAC + key];

/** One of our labels of a run. */
export const label = ({ metadata }: KubeObject, key: string): string | undefined => metadata.labels?.[PAC + key];

export const isOurs = ({ metadata }: KubeObject) => metadata.labels?.[MANAGED_BY] === MANAGER;

export const prefixed = (values: Readonly<Record<string, string>>): Record<string, string> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [PAC + key, value]));

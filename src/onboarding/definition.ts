import { isMap, parseDocument } from 'yaml';
import { Failure } from '../errors/failure.ts';

const PAC = 'pipelinesascode.tekton.dev/';

/** In the place of the comment a definition begins with. */
const HEAD = `# A definition of tekton/, started by pushes instead of merge requests: changes are committed to the branch itself.
# Only commits of the service start it: nobody waits for the image of a revert, or of a commit by somebody else.
# What differs between tenants comes from spec.params of the Repository object.
`;

/** All commits of the service have such a title; what GitLab writes when one is reverted begins with "Revert". */
const OURS = 'event == "push" && event_title.startsWith("IIB: ")';

/**
 * The same build, started by a push of the service to any branch (konflux-and-gitlab.md §1.2, §3.4).
 *
 * @param text a definition of `tekton/`
 * @throws Failure `configuration_invalid` for something else
 */
export function startedByPushes(text: string): string {
  // Without the comment at its head, which speaks of merge requests.
  const body = text.slice(text.search(/^[^#\s]/m));
  const document = parseDocument(body.replaceAll(':on-pr-{{', ':on-push-{{'));
  const annotations = document.getIn(['metadata', 'annotations']);
  if (!isMap(annotations)) throw new Failure('configuration_invalid', 'A definition of tekton/ has no annotations');
  for (const key of ['on-event', 'on-target-branch', 'cancel-in-progress']) annotations.delete(PAC + key);
  annotations.delete('build.appstudio.redhat.com/pull_request_number');
  annotations.set(`${PAC}on-cel-expression`, OURS);
  // The next push to the branch is another request's, or somebody's: the one before still waits for its image.
  annotations.set(`${PAC}cancel-in-progress`, 'false');
  return HEAD + document.toString({ lineWidth: 0 });
}

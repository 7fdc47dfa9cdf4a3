import { type KubeObject, RESOURCES } from '../kubernetes/object.ts';
import { isDone, succeeded } from '../tekton/conditions.ts';
import type { PacGitLab } from './gitlab.ts';
import type { Event } from './hook.ts';
import { launch } from './launch.ts';
import { match } from './match.ts';
import { isOurs, note, PAC } from './metadata.ts';
import { cancel } from './queue.ts';
import type { Repository } from './repository.ts';
import { emitEvent, FAILED, gitlabOf, postStatus, type Service, waitingState } from './service.ts';
import { type Definitions, inline, readDefinitions, render, type Template, variables } from './template.ts';

const SKIP = /\[(skip ci|ci skip|skip tkn|tkn skip)\]/;

/** Works on one event, after its hook was answered (konflux-and-gitlab.md §1, real-cluster.md §5.3). */
export async function take(
  service: Service,
  event: Event,
  repository: Repository,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const gitlab = gitlabOf(service, repository);
  if (event.trigger === 'pull_request') {
    await gitlab.project(event.targetProjectId);
    await gitlab.project(event.sourceProjectId);
    if (!(await allowed(service, gitlab, event, repository))) return;
  }
  // A comment that is no command only starts what asks for comments, which no template here can.
  if (event.comment !== '' && event.command === undefined) return;
  if (event.closing) return closeRuns(service, event);
  if (event.command?.act === 'cancel') return cancelRuns(service, event);
  if (skips(service, event)) {
    await postStatus(service, repository, event, undefined, {
      state: 'canceled',
      description: 'CI skipped by the commit message',
    });
    return;
  }
  const ref = repository.provenance === 'source' ? event.headBranch : event.defaultBranch;
  const files = await gitlab.definitions(event.sourceProjectId, ref);
  if (!files?.length) return;
  const known = variables(event, repository);
  const definitions = readDefinitions(files.map(({ path, text }) => ({ path, text: render(text, known, event.body) })));
  if (definitions.errors.length > 0) return complain(service, gitlab, event, repository, definitions.errors);
  const changes = () =>
    gitlab.changes(event.targetProjectId, event.iid === undefined ? { sha: event.sha } : { iid: event.iid });
  const { templates, problems } = await match(definitions.templates, event, repository, headers, changes);
  for (const { template, error } of problems)
    emitEvent(service, repository, 'RepositoryCELExpressionError', `${template}: ${error}`);
  if (templates.length === 0) {
    return emitEvent(
      service,
      repository,
      'RepositoryNoMatch',
      `no matching PipelineRun for ${event.eventType} on ${event.sha}`,
    );
  }
  const due =
    event.command?.act === 'retest' && event.command.template === undefined
      ? unfinished(service, event, templates)
      : templates;
  if (due.length === 0) return nothingToRetest(service, gitlab, event, repository);
  await start(service, event, repository, due, definitions);
}

async function start(
  service: Service,
  event: Event,
  repository: Repository,
  due: readonly Template[],
  definitions: Definitions,
): Promise<void> {
  const inlined = due.map((template) => ({ template, result: inline(template, definitions) }));
  for (const { result } of inlined) {
    if (!('missing' in result)) continue;
    emitEvent(service, repository, 'RepositoryPipelineRunError', result.missing);
    await postStatus(service, repository, event, undefined, FAILED);
    return;
  }
  await Promise.all(
    inlined.map(({ template, result }) =>
      'missing' in result ? undefined : launch(service, event, repository, template.name, result.document),
    ),
  );
}

async function allowed(service: Service, gitlab: PacGitLab, event: Event, repository: Repository): Promise<boolean> {
  const user = { id: event.senderId, name: event.sender };
  if (await gitlab.mayRun(event.targetProjectId, user, event.defaultBranch)) return true;
  if (!event.closing && event.command === undefined) {
    const description = 'Pending approval, waiting for an /ok-to-test';
    await postStatus(service, repository, event, undefined, { state: waitingState(service), description });
  }
  emitEvent(service, repository, 'RepositoryPermissionDenied', `user ${event.sender} is not allowed to run CI`);
  return false;
}

/** In 0.41 the message of a merge request's head is not looked at; a comment overrides it in any release. */
function skips({ release }: Service, { trigger, message, command }: Event): boolean {
  return command === undefined && (trigger === 'push' || release === '0.43') && SKIP.test(message);
}

async function complain(
  service: Service,
  gitlab: PacGitLab,
  event: Event,
  repository: Repository,
  errors: Definitions['errors'],
): Promise<void> {
  const rows = errors.map(({ name, error }) => `| ${name} | \`${error}\` |`).join('\n');
  const text = `> [!CAUTION]\n> There are some errors in your PipelineRun template.\n\n| PipelineRun | Error |\n|------|-------|\n${rows}`;
  if (event.iid !== undefined) await gitlab.note(event.targetProjectId, event.iid, text);
  emitEvent(
    service,
    repository,
    'PipelineRunValidationErrors',
    errors.map(({ name, error }) => `${name}: ${error}`).join('\n'),
  );
}

function runsOfRequest({ store }: Service, event: Event): KubeObject[] {
  return store
    .list(RESOURCES.pipelineruns)
    .filter(
      (run) =>
        isOurs(run) && note(run, 'repo-url') === event.repoUrl && note(run, 'pull-request') === String(event.iid),
    );
}

function closeRuns(service: Service, event: Event): void {
  for (const run of runsOfRequest(service, event)) {
    if (run.metadata.annotations?.[`${PAC}cancel-in-progress`] === 'true') cancel(service, run);
  }
}

function cancelRuns(service: Service, event: Event): void {
  const template = event.command?.template;
  for (const run of runsOfRequest(service, event)) {
    if (note(run, 'sha') === event.sha && (template === undefined || note(run, 'original-prname') === template))
      cancel(service, run);
  }
}

/** Templates without a good or running run for this commit. */
function unfinished(service: Service, event: Event, templates: readonly Template[]): Template[] {
  const runs = runsOfRequest(service, event).filter((run) => note(run, 'sha') === event.sha);
  const fine = (run: KubeObject) => !isDone(run) || succeeded(run)?.status === 'True';
  return templates.filter(({ name }) => !runs.some((run) => note(run, 'original-prname') === name && fine(run)));
}

/** 0.41 fails the commit, 0.43 only replies (real-cluster.md §5.3). */
async function nothingToRetest(
  service: Service,
  gitlab: PacGitLab,
  event: Event,
  repository: Repository,
): Promise<void> {
  const text =
    'All PipelineRuns for this commit have already succeeded. Use `/retest <pipeline-name>` to re-run a specific pipeline or `/test` to re-run all pipelines.';
  if (service.release === '0.41') await postStatus(service, repository, event, undefined, FAILED);
  else if (event.iid !== undefined) await gitlab.note(event.targetProjectId, event.iid, text);
}

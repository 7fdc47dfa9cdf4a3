import { type CelValue, cel } from './cel.ts';
import type { ChangedFile } from './gitlab.ts';
import { anyGlob, glob, listOf } from './glob.ts';
import type { Event } from './hook.ts';
import { PAC } from './metadata.ts';
import type { Repository } from './repository.ts';
import type { Template } from './template.ts';

export interface Matched {
  templates: Template[];
  /** Expressions that could not be evaluated: log only, the template does not match. */
  problems: { template: string; error: string }[];
}

const branchName = (ref: string) => ref.replace(/^refs\/heads\//, '');

/**
 * The templates an event starts (konflux-and-gitlab.md §1.2). Two templates of one name never match.
 *
 * @param changes asked once, whether a template wants paths or not
 */
export async function match(
  all: readonly Template[],
  event: Event,
  repository: Repository,
  headers: Readonly<Record<string, string>>,
  changes: () => Promise<ChangedFile[]>,
): Promise<Matched> {
  const unique = all.filter(({ name }) => all.filter((other) => other.name === name).length === 1);
  const wanted = event.command?.template;
  // A template that is called by its name runs whatever its annotations say.
  if (wanted !== undefined) return { templates: unique.filter(({ name }) => name === wanted), problems: [] };
  const files = await changes();
  const templates: Template[] = [];
  const problems: Matched['problems'] = [];
  for (const template of unique) {
    try {
      if (matches(template.document.metadata.annotations ?? {}, event, repository, headers, files))
        templates.push(template);
    } catch (thrown) {
      problems.push({ template: template.name, error: thrown instanceof Error ? thrown.message : String(thrown) });
    }
  }
  return { templates, problems };
}

function matches(
  annotations: Readonly<Record<string, string>>,
  event: Event,
  repository: Repository,
  headers: Readonly<Record<string, string>>,
  files: readonly ChangedFile[],
): boolean {
  const read = (key: string) => annotations[PAC + key];
  const namespace = read('target-namespace');
  if (namespace !== undefined && namespace !== repository.namespace) return false;
  const expression = read('on-cel-expression');
  if (expression !== undefined) {
    return (
      cel(expression)({
        variables: celVariables(event, repository, headers, files),
        pathChanged: (pattern) => files.some(({ path }) => glob(pattern).test(path)),
      }) === true
    );
  }
  const [on, branches] = [read('on-event'), read('on-target-branch')];
  if (on === undefined || branches === undefined) return false;
  if (!listOf(on).includes(event.trigger)) return false;
  if (!anyGlob(branches, branchName(event.baseBranch)) && !anyGlob(branches, event.baseBranch)) return false;
  const [changed, ignored, labels] = [read('on-path-change'), read('on-path-change-ignore'), read('on-label')];
  if (changed !== undefined && !files.some(({ path }) => anyGlob(changed, path))) return false;
  if (ignored !== undefined && files.every(({ path }) => anyGlob(ignored, path))) return false;
  return labels === undefined || listOf(labels).some((label) => event.labels.includes(label));
}

function celVariables(
  event: Event,
  { params }: Repository,
  headers: Readonly<Record<string, string>>,
  files: readonly ChangedFile[],
): Record<string, CelValue> {
  const of = (how: ChangedFile['how']) => files.filter((file) => file.how === how).map(({ path }) => path);
  return {
    ...Object.fromEntries(params),
    event: event.trigger,
    event_type: event.eventType,
    event_title: event.title,
    target_branch: branchName(event.baseBranch),
    source_branch: branchName(event.headBranch),
    target_url: event.repoUrl,
    source_url: event.sourceUrl,
    body: event.body as CelValue,
    headers,
    files: {
      all: files.map(({ path }) => path),
      added: of('added'),
      deleted: of('deleted'),
      modified: of('modified'),
      renamed: of('renamed'),
    },
  };
}

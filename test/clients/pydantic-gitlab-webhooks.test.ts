import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Hook, type Tour, tourOfGitLab } from './support/gitlab-tour.ts';
import { answering, MODULES, pythonClients } from './support/virtual-environment.ts';

const { missing, venv } = pythonClients('hooks');

/** Models of hooks that were written after GitLab's documentation and sources. */
describe.skipIf(missing)(missing ? `skipped: ${missing}` : 'pydantic-gitlab-webhooks 0.3.54 reads the hooks', () => {
  let tour: Tour;
  let reader: ReturnType<typeof answering>;
  beforeAll(async () => {
    tour = await tourOfGitLab();
    const env = { PYTHONDONTWRITEBYTECODE: '1' };
    const program = join(MODULES, 'read_hook.py');
    reader = answering(spawn(join(venv, 'bin/python'), [program], { env, stdio: ['pipe', 'pipe', 'inherit'] }));
  });
  afterAll(() => reader?.close());

  const read = (hook: Hook) => reader.ask(JSON.stringify(hook));
  const nameOf = ({ event, body }: Hook) =>
    [event, body.object_attributes?.noteable_type ?? body.object_attributes?.action].filter(Boolean).join(': ');
  const deletes = ({ body }: Hook) => /^0+$/.test(body.after ?? '');

  test('every kind of hook', async () => {
    const seen: Record<string, string> = {};
    for (const hook of tour.hooks.filter((each) => !deletes(each))) {
      const { read: name, wrong } = await read(hook);
      expect([hook, wrong]).toEqual([hook, undefined]);
      seen[nameOf(hook)] = name;
    }
    expect(seen).toMatchInlineSnapshot(`
      {
        "Merge Request Hook: close": "MergeRequestEvent",
        "Merge Request Hook: merge": "MergeRequestEvent",
        "Merge Request Hook: open": "MergeRequestEvent",
        "Merge Request Hook: reopen": "MergeRequestEvent",
        "Merge Request Hook: update": "MergeRequestEvent",
        "Note Hook: Commit": "CommitNoteEvent",
        "Note Hook: MergeRequest": "MergeRequestNoteEvent",
        "Push Hook": "PushEvent",
        "Tag Push Hook": "TagPushEvent",
      }
    `);
  });

  /** GitLab has no commit to name when a branch or a tag is deleted; these models ask for one. */
  test('deletions, whose checkout_sha is null, are the one difference that is known', async () => {
    const wrong = await Promise.all(tour.hooks.filter(deletes).map(async (hook) => (await read(hook)).wrong));
    expect(new Set(wrong.flat().map(([place]) => place))).toEqual(
      new Set(['Push Hook.event_body.checkout_sha', 'Tag Push Hook.event_body.checkout_sha']),
    );
  });

  test.each<[string, string, (body: Hook['body']) => void, string]>([
    [
      'a field renamed',
      'Merge Request Hook',
      (body) => {
        body.object_attributes.source = body.object_attributes.source_branch;
        delete body.object_attributes.source_branch;
      },
      'object_attributes.source_branch',
    ],
    ['a field dropped', 'Push Hook', (body) => delete body.project_id, 'project_id'],
    [
      'a type changed',
      'Note Hook',
      (body) => {
        body.object_attributes.author_id = { id: body.object_attributes.author_id };
      },
      'object_attributes.author_id',
    ],
  ])('a seeded mistake is told: %s', async (_, event, mistake, place) => {
    const hook = structuredClone(tour.hooks.find((each) => each.event === event) as Hook);
    mistake(hook.body);
    const { wrong } = await read(hook);
    expect(wrong.map(([at]: [string]) => at).join(' ')).toContain(place);
  });
});

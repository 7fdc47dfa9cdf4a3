import { beforeAll, describe, expect, test } from 'vitest';
import { TYPES } from './support/client-go-types.ts';
import { judge, noGitLabJudge, type Sample, type Verdict } from './support/gitlab-judge.ts';
import { routesOfImitation, type Tour, tourOfGitLab } from './support/gitlab-tour.ts';

const missing = noGitLabJudge();

interface Judged extends Sample {
  call: string;
  verdict: Verdict;
}

async function judged({ answers, hooks }: Tour): Promise<Judged[]> {
  const samples = [
    ...answers.flatMap(({ call, body }) => {
      const as = TYPES[call];
      return as ? [body].flat().map((each) => ({ call, as, body: each })) : [];
    }),
    ...hooks.map(({ event, body }) => ({ call: `${event}: ${body.event_type ?? ''}`, as: `hook ${event}`, body })),
  ];
  const verdicts = await judge(samples);
  return samples.map((sample, at) => ({ ...sample, verdict: verdicts[at] as Verdict }));
}

/** What every one of the verdicts says. */
const common = (judged: Judged[], which: 'unknown' | 'absent') =>
  judged
    .map(({ verdict }) => new Set(verdict[which]))
    .reduce((one, other) => one.intersection(other), new Set(judged[0]?.verdict[which]));

/** Where the imitation and client-go differ: for each type what is so in all of its calls, then what is so in one of them. */
function differences(all: Judged[]): string[] {
  const decoded = all.filter(({ verdict }) => verdict.error === null);
  return [...Map.groupBy(decoded, ({ as }) => as)].flatMap(([as, ofType]) => {
    const unknown = [...new Set(ofType.flatMap(({ verdict }) => verdict.unknown))].sort();
    const never = common(ofType, 'absent');
    const inCalls = [...Map.groupBy(ofType, ({ call }) => call)].flatMap(([call, ofCall]) => {
      const more = common(ofCall, 'absent').difference(never);
      return [...more].sort().map((field) => `${as}, ${call}: not sent: ${field}`);
    });
    return [
      ...unknown.map((field) => `${as}: client-go does not know: ${field}`),
      ...[...never].sort().map((field) => `${as}: never sent: ${field}`),
      ...inCalls,
    ];
  });
}

const unreadable = (all: Judged[]) =>
  all.flatMap(({ call, verdict: { error, lost } }) => [
    ...(error === null ? [] : [`${call}: ${error}`]),
    ...lost.map((field) => `${call}: does not arrive: ${field}`),
  ]);

/** GitLab's own language of answers is Ruby; these types are read by every client written in Go. */
describe.skipIf(missing)(missing ? `skipped: ${missing}` : 'client-go 1.46.0 reads the imitation', () => {
  let tour: Tour;
  let before: Judged[];
  beforeAll(async () => {
    tour = await tourOfGitLab();
    before = await judged(tour);
  });

  test('the tour makes every call that the imitation knows, and each has a type or none', () => {
    const made = new Set(tour.answers.map(({ call }) => call));
    expect(routesOfImitation().filter((route) => !made.has(route))).toEqual([]);
    expect(Object.keys(TYPES).sort()).toEqual(routesOfImitation().sort());
    expect(new Set(tour.hooks.map(({ event }) => event))).toEqual(
      new Set(['Push Hook', 'Tag Push Hook', 'Merge Request Hook', 'Note Hook']),
    );
  });

  test('every answer and hook is decoded, and every value that was sent arrives', () => {
    expect(unreadable(before)).toEqual([]);
  });

  test('fields that one of the two lacks are those that are known', async () => {
    await expect(`${differences(before).join('\n')}\n`).toMatchFileSnapshot('support/client-go-differences.txt');
  });

  /** The tour with a mistake in its answers and hooks, and what is told of it that was not told before. */
  async function seeded(mistake: (tour: Tour) => void): Promise<string[]> {
    const wrong = structuredClone(tour);
    mistake(wrong);
    const after = await judged(wrong);
    const known = new Set([...unreadable(before), ...differences(before)]);
    return [...unreadable(after), ...differences(after)].filter((line) => !known.has(line));
  }
  const answersTo = (wrong: Tour, call: string) =>
    wrong.answers.filter((answer) => answer.call === call).flatMap(({ body }) => body);

  test('a seeded mistake is told: a field dropped, a type changed, a field of a hook renamed', async () => {
    const call = 'GET /projects/:id/merge_requests/:iid';
    const dropped = await seeded((wrong) => {
      for (const body of answersTo(wrong, call)) delete body.squash_commit_sha;
    });
    expect(dropped).toEqual([`MergeRequest, ${call}: not sent: squash_commit_sha`]);
    const status = 'POST /projects/:id/statuses/:sha';
    const asText = await seeded((wrong) => {
      for (const body of answersTo(wrong, status)) body.pipeline_id = String(body.pipeline_id);
    });
    expect(asText).toEqual(
      expect.arrayContaining([expect.stringMatching(/^POST .*: json: cannot unmarshal string into .*pipeline_id/)]),
    );
    const renamed = await seeded(({ hooks }) => {
      for (const { body } of hooks.filter(({ event }) => event === 'Merge Request Hook')) {
        body.object_attributes.last_commit_id = body.object_attributes.last_commit.id;
        delete body.object_attributes.last_commit;
      }
    });
    expect(renamed).toEqual([
      'hook Merge Request Hook: client-go does not know: object_attributes.last_commit_id',
      'hook Merge Request Hook: never sent: object_attributes.last_commit',
    ]);
    const nowhere = await seeded((wrong) => {
      for (const body of answersTo(wrong, 'GET /projects/:id')) body.created_at = 'yesterday';
    });
    expect(nowhere).toEqual([expect.stringMatching(/^GET \/projects\/:id: parsing time "yesterday"/)]);
  });
});

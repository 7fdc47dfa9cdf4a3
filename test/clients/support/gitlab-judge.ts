import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';

const FOLDER = resolve(import.meta.dirname, '../../../.tools/gitlab-judge');
const PROGRAM = join(FOLDER, 'gitlab-judge');

/** Answers and hooks of GitLab that the authors of client-go have recorded. */
export const RECORDINGS = join(FOLDER, 'testdata');

/** Why client-go's types are not here, or false when they are. @throws in CI, when they are not */
export function noGitLabJudge(): string | false {
  if (existsSync(PROGRAM)) return false;
  if (process.env.CI === 'true') throw new Error(`${PROGRAM} is not there: run scripts/tools.sh`);
  return 'gitlab-judge could not be built: Go or its module proxy cannot be reached (make setup says more)';
}

/** What came of decoding a body; fields are paths, `[]` stands for any element of a list. */
const Verdict = z.object({
  error: z.string().nullable(),
  lost: z.array(z.string()),
  unknown: z.array(z.string()),
  absent: z.array(z.string()),
});
export type Verdict = z.infer<typeof Verdict>;

/** A body and the type of client-go that it is: a struct's name, or `hook NAME` with the name of the event. */
export interface Sample {
  as: string;
  body: unknown;
}

/** Decodes the bodies with client-go's types; a verdict for each, in order. */
export function judge(samples: Sample[]): Promise<Verdict[]> {
  return new Promise((done, failed) => {
    const child = execFile(PROGRAM, { maxBuffer: 1 << 28 }, (failure, stdout) => {
      if (failure !== null) return failed(failure);
      done(
        stdout
          .split('\n')
          .filter(Boolean)
          .map((line) => Verdict.parse(JSON.parse(line))),
      );
    });
    child.stdin?.end(samples.map((sample) => `${JSON.stringify(sample)}\n`).join(''));
  });
}

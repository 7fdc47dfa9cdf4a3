import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { asFailure, describe as chain, Failure, UNKNOWN_ERROR } from '../../src/errors/failure.ts';
import { type Patience, patient, patiently } from '../../src/errors/retry.ts';

const patience: Patience = { total: 60_000, first: 1, longest: 2 };
const forever = () => new AbortController().signal;
const unavailable = (retryAfter?: number) => new Failure('gitlab_unavailable', 'GitLab is away', { retryAfter });

/** Fails with these, then answers. */
function script(...failures: unknown[]) {
  const left = [...failures];
  const calls = { count: 0 };
  const work = async () => {
    calls.count += 1;
    const next = left.shift();
    if (next !== undefined) throw next;
    return 'done';
  };
  return { work, calls };
}

describe('patiently', () => {
  test('tries transient failures again until the work is done', async () => {
    const { work, calls } = script(unavailable(), unavailable());
    const told: string[] = [];
    expect(await patiently(patience, forever(), work, ({ code }) => told.push(code))).toBe('done');
    expect(calls.count).toBe(3);
    expect(told).toEqual(['gitlab_unavailable', 'gitlab_unavailable']);
  });

  test.each([
    new Failure('bundle_label_missing', 'no'),
    new Failure('target_moved', 'moved'),
    new TypeError('a defect'),
  ])('does not try again what will not pass: %s', async (failure) => {
    const { work, calls } = script(failure);
    await expect(patiently(patience, forever(), work)).rejects.toBe(failure);
    expect(calls.count).toBe(1);
  });

  test('gives up with the last failure when its patience is spent', async () => {
    const always = async () => {
      throw unavailable();
    };
    await expect(patiently({ ...patience, total: 10 }, forever(), always)).rejects.toThrow('GitLab is away');
  });

  test('has all of its patience left when long work fails for the first time', async () => {
    let now = 0;
    const clock = vi.spyOn(Date, 'now').mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    const { work, calls } = script(unavailable());
    const long = () => {
      now += 2 * patience.total;
      return work();
    };
    expect(await patiently(patience, forever(), long)).toBe('done');
    expect(calls.count).toBe(2);
  });

  test('is not patient once more about what somebody inside has been patient about', async () => {
    let outer = 0;
    const inside = async () => {
      outer += 1;
      const always = () => Promise.reject(unavailable());
      await patiently({ ...patience, total: 10 }, forever(), always).catch((cause) => {
        throw new Failure('gitlab_unavailable', 'with a better sentence', { cause });
      });
    };
    await expect(patiently(patience, forever(), inside)).rejects.toThrow('with a better sentence');
    expect(outer).toBe(1);
  });

  test('does not begin a wait that the other side asked for and that is longer than its patience', async () => {
    const { work, calls } = script(unavailable(3600));
    await expect(patiently(patience, forever(), work)).rejects.toThrow('GitLab is away');
    expect(calls.count).toBe(1);
  });

  test('stops waiting when aborted', async () => {
    const controller = new AbortController();
    const slow: Patience = { total: 3_600_000, first: 3_600_000, longest: 3_600_000 };
    const waiting = patiently(slow, controller.signal, script(unavailable()).work, () => controller.abort());
    await expect(waiting).rejects.toThrow(/abort/);
  });
});

describe('patient', () => {
  test('makes each asynchronous method patient and leaves the rest alone', async () => {
    const { work, calls } = script(unavailable());
    const target = patient({ name: 'registry', read: work, now: () => 7 }, patience, forever());
    expect(target.name).toBe('registry');
    expect(target.now()).toBe(7);
    expect(await target.read()).toBe('done');
    expect(calls.count).toBe(2);
  });
});

describe('failures', () => {
  test('whatever is thrown becomes one, and keeps its cause to itself', () => {
    const thrown = new Error('secret detail');
    expect(asFailure(thrown)).toMatchObject({ code: 'unexpected', message: UNKNOWN_ERROR, cause: thrown });
    const failure = unavailable();
    expect(asFailure(failure)).toBe(failure);
  });

  test('the whole chain is for the log', () => {
    const failure = new Failure('gitlab_unavailable', 'away', { cause: new Error('reset', { cause: 'ECONNRESET' }) });
    expect(chain(failure)).toBe('away: reset: ECONNRESET');
  });
});

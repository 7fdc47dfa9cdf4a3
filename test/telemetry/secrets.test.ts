import { AsyncResource } from 'node:async_hooks';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hide,
  inSecretScope,
  LONGEST_SECRET,
  mask,
  maskValues,
  registerRequestSecret,
  registerSecret,
} from '../../src/telemetry/secrets.ts';

/** Runs something as if no request had begun it. */
const nobody = new AsyncResource('nobody');
const outside = { run: <T>(work: () => T): T => nobody.runInAsyncScope(work) };

test('a secret is hidden as it is, in base64, in an address and in JSON', () => {
  const secret = 'uncommon "word"\n& more';
  registerSecret(secret);
  const forms = [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret), JSON.stringify(secret)];
  expect(mask(forms.join(' '))).toBe('***** ***** ***** "*****"');
});

test('what is too short to be a secret is not hidden', () => {
  registerSecret('');
  registerSecret(undefined);
  registerSecret('xyz');
  expect(mask('xyz')).toBe('xyz');
});

test('a secret that is a part of another, or overlaps it, leaves nothing of the other to be seen', () => {
  expect(hide(['word', 'user:word-token'], 'for user:word-token and word')).toBe('for ***** and *****');
  expect(hide(['abcd', 'cdef'], '-abcdef-')).toBe('-*****-');
  expect(hide(['abab'], '-ababab-abab')).toBe('-*****-*****');
  expect(hide(['abcd'], 'abcdabcd')).toBe('**********');
});

test('every character of a secret is hidden, and no other', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(word), fc.string({ unit: fc.constantFrom('a', 'b', '-') }), (secrets, text) => {
      const hidden = new Set<number>();
      for (const secret of secrets)
        for (let at = 0; at < text.length; at += 1)
          if (text.startsWith(secret, at)) for (let i = 0; i < secret.length; i += 1) hidden.add(at + i);
      const seen = [...text].filter((_, at) => !hidden.has(at)).join('');
      expect(hide(secrets, text).replaceAll('*', '')).toBe(seen);
    }),
    { numRuns: 2000 },
  );
});

const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('secrets of a request', () => {
  test('are hidden while it is worked on, through all that is awaited, and then forgotten', async () => {
    const text = 'anna:Correct+Horse 9 and Correct+Horse 9';
    const whole = await inSecretScope(async () => {
      registerRequestSecret('anna:Correct+Horse 9');
      await new Promise((resolve) => setImmediate(resolve));
      return `${mask(text)} ${mask(base64('anna:Correct+Horse 9'))} ${mask(encodeURIComponent('Correct+Horse 9'))}`;
    });
    expect(whole).toBe('***** and ***** ***** *****');
    expect(mask(text)).toBe(text);
  });

  test('also when the work fails', async () => {
    const failing = inSecretScope(async () => {
      registerRequestSecret('anna:glpat-4fK29xQz81LmP0aa');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(mask('glpat-4fK29xQz81LmP0aa')).toBe('glpat-4fK29xQz81LmP0aa');
  });

  // Each is what somebody's request or the service itself writes for other reasons.
  const COMMON = [
    'x:127.0.0.1',
    'x:127.0.0.1:5000',
    'quay.io/catalogs/example-index:v4.19',
    'localhost:5000',
    'https://gitlab.example.com/catalogs/example-index',
    'x:registry.example.com',
    'x:catalogs/example-index',
    'x:2026-12-01',
    'x:complete',
    `sha256:${'0123456789abcdef'.repeat(4)}`,
    `x:${'0123456789abcdef'.repeat(4)}`,
    `x:${'0123456789'.repeat(3)}abcdef0123`,
    'x:The operator bundle(s) were successfully added to the index image',
    'x:iib-stage-request-7-v4.19',
    'x:',
    '{"level":30,"time":"',
  ];
  test.each(COMMON)(
    '%s changes no text of another request, and no line of the log that belongs to none',
    async (token) => {
      const texts = [...COMMON, ...COMMON.map((one) => one.slice(one.indexOf(':') + 1))];
      await inSecretScope(async () => {
        registerRequestSecret(token);
        const seen = await new Promise<string[]>((resolve) => {
          // Another request, begun while this one is open but not by it.
          outside.run(() => void inSecretScope(async () => resolve(texts.map(mask))));
        });
        expect(seen).toEqual(texts);
        expect(outside.run(() => texts.map(mask))).toEqual(texts);
        expect(mask(`with ${token}.`)).toBe(token.length < 4 ? `with ${token}.` : 'with *****.');
      });
    },
  );

  test('of a part that may be ordinary text only the whole token is hidden', async () => {
    await inSecretScope(async () => {
      registerRequestSecret('x:127.0.0.1');
      expect(mask(`127.0.0.1 x:127.0.0.1 ${base64('x:127.0.0.1')}`)).toBe('127.0.0.1 ***** *****');
    });
  });

  test('one that is no ordinary text is hidden in what other open requests write, too', async () => {
    const token = 'robot:glpat-4fK29xQz81LmP0aa';
    await inSecretScope(async () => {
      registerRequestSecret(token);
      const text = `${token} glpat-4fK29xQz81LmP0aa ${base64(token)} but not xglpat-4fK29xQz81LmP0aax`;
      expect(outside.run(() => mask(text))).toBe('***** ***** ***** but not xglpat-4fK29xQz81LmP0aax');
    });
  });

  test('have limits', async () => {
    await inSecretScope(async () => {
      expect(() => registerRequestSecret('x'.repeat(LONGEST_SECRET + 1))).toThrow(/must not be longer than 65536/);
      const many = () => {
        for (let at = 0; at < 501; at += 1) registerRequestSecret(`secret number ${at}`);
      };
      expect(many).toThrow(/must not be more than 500/);
    });
    await inSecretScope(async () => {
      const much = () => {
        for (let at = 0; at < 20; at += 1) registerRequestSecret(`${at}:`.padEnd(LONGEST_SECRET, 'x'));
      };
      expect(much).toThrow(/nor longer than 1048576 characters together/);
    });
  });
});

test('of the service’s own secrets the newest 2000 are kept: one in use is registered again and again', () => {
  for (let at = 0; at < 3000; at += 1) {
    registerSecret('in-use-all-the-time');
    registerSecret(`renewed-token-${at}-x`);
  }
  expect(mask('in-use-all-the-time renewed-token-2999-x renewed-token-0-x')).toBe('***** ***** renewed-token-0-x');
});

test('values are masked one by one, so that what was JSON remains JSON', async () => {
  await inSecretScope(async () => {
    registerRequestSecret('","level":30');
    registerRequestSecret('key:word in a key');
    const value = { a: '","level":30', level: 30, list: [1, null, 'x'], 'key:word in a key': true };
    expect(maskValues(value)).toEqual({ a: '*****', level: 30, list: [1, null, 'x'], '*****': true });
  });
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { hide, mask, registerSecret } from '../../src/telemetry/secrets.ts';

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

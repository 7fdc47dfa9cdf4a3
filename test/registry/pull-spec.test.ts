import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Failure } from '../../src/errors/failure.ts';
import { nameOf, parsePullSpec, printPullSpec, withDigest, withTag } from '../../src/registry/pull-spec.ts';

const DIGEST = `sha256:${'ab'.repeat(32)}`;

test.each([
  ['quay.io/ns/repo:v4.19', { registry: 'quay.io', repository: 'ns/repo', tag: 'v4.19' }],
  ['quay.io/ns/repo', { registry: 'quay.io', repository: 'ns/repo', tag: 'latest' }],
  ['localhost/x', { registry: 'localhost', repository: 'x', tag: 'latest' }],
  ['localhost:5000/x', { registry: 'localhost:5000', repository: 'x', tag: 'latest' }],
  ['host:5000/a/b/c:1', { registry: 'host:5000', repository: 'a/b/c', tag: '1' }],
  [`r.io/a/b@${DIGEST}`, { registry: 'r.io', repository: 'a/b', digest: DIGEST }],
  [`r.io/a/b:t@${DIGEST}`, { registry: 'r.io', repository: 'a/b', tag: 't', digest: DIGEST }],
])('%s', (text, parsed) => {
  expect(parsePullSpec(text)).toEqual(parsed);
});

test.each([
  '',
  'repo',
  'ns/repo:tag',
  'quay.io',
  'quay.io/',
  'quay.io:443',
  'quay.io/Upper/x',
  'quay.io/a//b',
  'quay.io/../x',
  'quay.io/a:',
  'quay.io/a:b:c',
  'quay.io/a@',
  'quay.io/a@sha256:12',
  `quay.io/a@${DIGEST}@${DIGEST}`,
  'https://quay.io/a',
  'quay.io/a b',
  ' quay.io/a',
  'user@quay.io/a',
  `quay.io/${'a'.repeat(300)}`,
])('%j is refused', (text) => {
  expect(() => parsePullSpec(text)).toThrow(expect.objectContaining({ code: 'pull_spec_invalid' }));
});

test('name, digest and tag', () => {
  expect(nameOf(`host:5000/x:t@${DIGEST}`)).toBe('host:5000/x');
  expect(nameOf('host:5000/x')).toBe('host:5000/x');
  expect(withDigest('host:5000/x:t', DIGEST)).toBe(`host:5000/x@${DIGEST}`);
  expect(withTag(`host:5000/x@${DIGEST}`, 'new')).toBe('host:5000/x:new');
  expect(() => withTag('host:5000/x', 'a/b')).toThrow(Failure);
});

const label = fc.stringMatching(/^[a-z0-9]{1,8}$/);
const registry = fc
  .oneof(
    fc.constantFrom('localhost', '[::1]', '[fd00::5]:5000', '10.0.0.1:5000'),
    fc.tuple(label, label).map(([a, b]) => `${a}.${b}`),
    fc.tuple(label, fc.integer({ min: 1, max: 65535 })).map(([a, port]) => `${a}:${port}`),
  )
  // A host that ends in a number is an address or nothing.
  .filter((host) => URL.canParse(`https://${host}`));
const segment = fc.tuple(label, fc.constantFrom('.', '_', '__', '-', '--'), label).map((parts) => parts.join(''));
const repository = fc.array(fc.oneof(label, segment), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('/'));
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,30}$/);
const digest = fc.stringMatching(/^[a-f0-9]{64}$/).map((hex) => `sha256:${hex}`);
const reference = fc.oneof(fc.record({ tag }), fc.record({ digest }), fc.record({ tag, digest }));

test('what is printed is read back the same', () => {
  fc.assert(
    fc.property(registry, repository, reference, (host, path, named) => {
      const spec = { registry: host, repository: path, ...named };
      expect(parsePullSpec(printPullSpec(spec))).toEqual(spec);
      expect(nameOf(printPullSpec(spec))).toBe(`${host}/${path}`);
    }),
  );
});

test('any text is either read and printed the same or refused', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z./:@-]{0,40}$/)), (text) => {
      try {
        const spec = parsePullSpec(text);
        expect(parsePullSpec(printPullSpec(spec))).toEqual(spec);
      } catch (thrown) {
        expect(thrown).toMatchObject({ code: 'pull_spec_invalid' });
      }
    }),
  );
});

test.each(['a.example.com:65536', '256.1.1.1', '1.2.3.4.5', 'example.123', '[::1', '[nonsense]:5000'])(
  'a registry that no URL can name, %s',
  (host) => {
    expect(() => parsePullSpec(`${host}/a/b:c`)).toThrow(expect.objectContaining({ code: 'pull_spec_invalid' }));
  },
);

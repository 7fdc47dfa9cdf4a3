import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { offersIn, parseToken } from '../../src/registry/authorization.ts';
import { parseChallenges } from '../../src/registry/challenges.ts';

const shown = (header: string | string[] | undefined) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('challenges are read by the grammar of RFC 9110', () => {
  test.each<[string, string | string[], unknown]>([
    ['one', 'Bearer realm="https://a/t",service="s"', [['bearer', { realm: 'https://a/t', service: 's' }]]],
    [
      'several in one header',
      'Bearer realm="https://a/t", service="s", Basic realm="x", charset="UTF-8"',
      [
        ['bearer', { realm: 'https://a/t', service: 's' }],
        ['basic', { realm: 'x', charset: 'UTF-8' }],
      ],
    ],
    [
      'several in several headers',
      ['Basic realm="x"', 'Bearer realm="https://a/t"'],
      [
        ['basic', { realm: 'x' }],
        ['bearer', { realm: 'https://a/t' }],
      ],
    ],
    [
      'a comma, a quote and another challenge inside a quoted string',
      'Basic realm="a, Bearer realm=\\"b\\", c", Bearer realm="https://a/t?x=1,2"',
      [
        ['basic', { realm: 'a, Bearer realm="b", c' }],
        ['bearer', { realm: 'https://a/t?x=1,2' }],
      ],
    ],
    [
      'token68, and schemes without anything',
      'Negotiate YWJj/+==, NTLM, Bearer realm="https://a/t"',
      [
        ['negotiate', {}],
        ['ntlm', {}],
        ['bearer', { realm: 'https://a/t' }],
      ],
    ],
    [
      'any case, spaces around the equals sign, values that are tokens, empty elements',
      ', BEARER  Realm = "https://a/t" ,, SERVICE\t=\tplain ,',
      [['bearer', { realm: 'https://a/t', service: 'plain' }]],
    ],
    ['a name that is given twice: the last', 'Basic realm="a", realm="b"', [['basic', { realm: 'b' }]]],
    ['an unfinished quoted string', 'Bearer realm="https://a/t', [['bearer', {}]]],
    ['a parameter of no scheme', 'realm="x"', []],
    ['nothing', '', []],
  ])('%s', (_, header, expected) => {
    expect(shown(header)).toEqual(expected);
  });

  test('no text throws or takes long', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (headers) => {
        parseChallenges(headers);
        offersIn(headers);
      }),
      { seed: 12, numRuns: 100 },
    );
    const pieces = ['Bearer ', 'realm', '=', '"', '\\', ',', ' ', 'a', '==', '/'];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 60 }), (text) => {
        offersIn(text.join(''));
      }),
      { seed: 12, numRuns: 500 },
    );
    // As much as a header may hold, of what makes parsers go back.
    for (const piece of ['a', 'a ', '=', 'a=', '"', '"\\', 'Bearer realm="', ',', 'a,', '\t']) {
      parseChallenges(piece.repeat(16_384 / piece.length));
    }
  });
});

describe('offers', () => {
  test('bearer is there whatever stands before it', () => {
    for (const header of ['Basic realm="x", Bearer realm="https://a/t"', 'Foo a=b, Bearer realm="https://a/t"']) {
      expect(offersIn(header).bearer?.realm.href).toBe('https://a/t');
    }
  });

  test('of two bearer challenges the one that can be answered', () => {
    expect(offersIn(['Bearer realm="/t"', 'Bearer realm="https://a/t"']).bearer?.realm.href).toBe('https://a/t');
  });

  test('what cannot be answered is named, unless basic is offered as well', () => {
    expect(offersIn('Bearer realm="/t"')).toEqual({ basic: false, mistake: 'names a token service that is no URL' });
    expect(offersIn('Bearer service="s"')).toEqual({ basic: false, mistake: 'names no token service' });
    expect(offersIn('Bearer realm=""')).toEqual({ basic: false, mistake: 'names no token service' });
    expect(offersIn('Bearer realm="/t", Basic realm="x"')).toEqual({ basic: true });
    expect(offersIn('Negotiate')).toEqual({ basic: false });
    expect(offersIn(undefined)).toEqual({ basic: false });
  });
});

describe('answers of token services, as Go programs read them', () => {
  test.each<[string, unknown, ReturnType<typeof parseToken>]>([
    ['token', { token: 'a', expires_in: 300 }, { token: 'a', life: 300 }],
    ['access_token', { access_token: 'b' }, { token: 'b', life: 60 }],
    ['both', { token: 'a', access_token: 'b' }, { token: 'a', life: 60 }],
    ['null beside access_token', { token: null, access_token: 'b', expires_in: null }, { token: 'b', life: 60 }],
    ['empty beside access_token', { token: '', access_token: 'b', expires_in: 0 }, { token: 'b', life: 60 }],
    ['a life below zero', { token: 'a', expires_in: -5 }, { token: 'a', life: 60 }],
    ['names in another case', { Token: 'a', Expires_In: 90 }, { token: 'a', life: 90 }],
    ['no token', {}, undefined],
    ['null for both', { token: null, access_token: null }, undefined],
    ['a number as token', { token: 5 }, undefined],
    ['a life in a string', { token: 'a', expires_in: '300' }, undefined],
    ['a life with a fraction', { token: 'a', expires_in: 300.5 }, undefined],
    ['a token that no header can hold', { token: 'a\r\nhost: b' }, undefined],
    ['null', null, undefined],
    ['a list', [{ token: 'a' }], undefined],
  ])('%s', (_, json, expected) => {
    expect(parseToken(Buffer.from(JSON.stringify(json)))).toEqual(expected);
  });

  test('no JSON', () => {
    expect(parseToken(Buffer.from('<html></html>'))).toBeUndefined();
    expect(parseToken(Buffer.alloc(0))).toBeUndefined();
  });
});

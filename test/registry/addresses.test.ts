import type { lookup } from 'node:dns';
import { describe, expect, test } from 'vitest';
import { permitsAddress } from '../../src/registry/addresses.ts';
import { AddressRefused, connectionsTo, permittedLookup } from '../../src/registry/connections.ts';
import { assertAllowed, namedUrl, originOf, type RegistryRules, reachOf } from '../../src/registry/hops.ts';

const PUBLIC = ['8.8.8.8', '2606:4700::1', '::ffff:8.8.8.8', '64:ff9b::808:808'];
const PRIVATE = ['10.0.0.1', '172.16.0.1', '192.168.1.1', '100.64.0.1', 'fd00::1', '::ffff:10.0.0.1', '64:ff9b::a00:1'];
const NEVER = [
  ...['127.0.0.1', '127.8.8.8', '0.0.0.0', '169.254.169.254', '224.0.0.1', '255.255.255.255', '240.0.0.1', '192.0.2.1'],
  ...['::1', '::', 'fe80::1', 'fe80::1%eth0', 'ff02::1', '::ffff:127.0.0.1', '::ffff:7f00:1', '::127.0.0.1'],
  ...[
    '64:ff9b::7f00:1',
    '64:ff9b::a9fe:a9fe',
    '64:ff9b:1::a00:1',
    '2002:7f00:1::',
    '2001::1',
    'fec0::1',
    'nonsense',
    '',
  ],
];

describe('addresses', () => {
  test.each([
    ['public', PUBLIC, [...PRIVATE, ...NEVER]],
    ['private', [...PUBLIC, ...PRIVATE], NEVER],
    ['any', [...PUBLIC, ...PRIVATE, ...NEVER], []],
  ] as const)('reach %s', (reach, permitted, refused) => {
    expect(permitted.filter((address) => !permitsAddress(reach, address))).toEqual([]);
    expect(refused.filter((address) => permitsAddress(reach, address))).toEqual([]);
  });

  test('in all the spellings that a URL takes', () => {
    for (const host of ['127.1', '2130706433', '0x7f.1', '017700000001', '[::1]', '[::ffff:7f00:1]', '0']) {
      expect(() => connectionsTo(new URL(`https://${host}/`), 'public')).toThrow(AddressRefused);
      expect(() => connectionsTo(new URL(`https://${host}/`), 'any')).not.toThrow();
    }
  });
});

describe('names are judged by what they resolve to, at each connect', () => {
  const answering = (...addresses: string[]) =>
    ((_name: string, _options: object, done: (error: null, found: { address: string; family: number }[]) => void) =>
      done(
        null,
        addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
      )) as unknown as typeof lookup;
  const ask = (reach: 'public' | 'private' | 'any', all: boolean, ...addresses: string[]) =>
    new Promise((resolve) =>
      permittedLookup(reach, answering(...addresses))('evil.example.com', { all }, (error, found) =>
        resolve(error ?? found),
      ),
    );

  test('what is not permitted is left out', async () => {
    expect(await ask('public', true, '10.0.0.1', '8.8.8.8')).toEqual([{ address: '8.8.8.8', family: 4 }]);
    expect(await ask('public', false, '::1', '8.8.8.8')).toBe('8.8.8.8');
    expect(await ask('any', false, '::1', '8.8.8.8')).toBe('::1');
  });

  test('a name with nothing else cannot be connected to', async () => {
    expect(await ask('public', true, '10.0.0.1', '127.0.0.1')).toBeInstanceOf(AddressRefused);
    expect(await ask('private', false, '127.0.0.1')).toBeInstanceOf(AddressRefused);
  });
});

describe('where a registry may lead', () => {
  const rules: RegistryRules = { trusted: ['ours.example.com', '*.corp.example.com', 'port.example.com:8443'] };
  const reach = (registry: string, url: string, insecure: string[] = []) =>
    reachOf(originOf(registry, insecure, rules), new URL(url), insecure, rules);

  test('strangers send us to public addresses, ours to private ones, and what the configuration names is anywhere', () => {
    expect(reach('evil.example.com', 'https://evil.example.com/v2/')).toBe('private');
    expect(reach('evil.example.com', 'https://evil.example.com:9000/t')).toBe('public');
    expect(reach('evil.example.com', 'https://else.example.com/t')).toBe('public');
    expect(reach('evil.example.com', 'https://a.corp.example.com/t')).toBe('any');
    expect(reach('evil.example.com', 'https://corp.example.com/t')).toBe('public');
    expect(reach('evil.example.com', 'https://evilcorp.example.com/t')).toBe('public');
    expect(reach('ours.example.com', 'https://ours.example.com/v2/')).toBe('any');
    expect(reach('ours.example.com', 'https://sso.example.com/t')).toBe('private');
    expect(reach('port.example.com:8443', 'https://port.example.com:8443/')).toBe('any');
    expect(reach('port.example.com', 'https://port.example.com/')).toBe('private');
    expect(reach('port.example.com', 'https://port.example.com:9000/')).toBe('public');
    expect(reach('10.0.0.1:5000', 'http://10.0.0.1:6000/t', ['10.0.0.1:5000'])).toBe('any');
  });

  test.each([
    ['https://cdn.example.com/blob', 'https://cdn.example.com/blob'],
    ['/elsewhere?x=1', 'https://ours.example.com/elsewhere?x=1'],
    ['//cdn.example.com/blob', 'https://cdn.example.com/blob'],
    ['http://ours.example.com/t', 'to plain HTTP on ours.example.com'],
    ['http://plain.example.com/t', 'http://plain.example.com/t'],
    ['http://cdn.example.com/blob', 'to plain HTTP on cdn.example.com'],
    ['ftp://cdn.example.com/blob', 'to a URL of the scheme ftp:'],
    ['file:///etc/passwd', 'to a URL of the scheme file:'],
    ['data:text/plain,x', 'to a URL of the scheme data:'],
    ['https://', 'to something that is no URL'],
    ['http://[', 'to something that is no URL'],
  ])('a redirect to %s', (text, expected) => {
    const insecure = ['plain.example.com'];
    const origin = originOf('ours.example.com', insecure, rules);
    const read = () =>
      namedUrl(origin, { text, from: new URL('https://ours.example.com/v2/'), what: 'leads', insecure });
    if (expected.startsWith('http')) expect(read().href).toBe(expected);
    else expect(read).toThrow(expected);
  });

  test('a registry that no URL can name', () => {
    expect(() => originOf('a:99999', [], rules)).toThrow("'a:99999' is not a registry");
  });
});

test('what may be called', () => {
  const allowed = ['registry.example.com', 'quay.io/team'];
  for (const name of ['registry.example.com', 'registry.example.com/a/b', 'quay.io/team', 'quay.io/team/a']) {
    expect(() => assertAllowed({ allowed }, name)).not.toThrow();
  }
  for (const name of [
    'quay.io',
    'quay.io/teams/a',
    'registry.example.com:5000/a',
    'xregistry.example.com/a',
    'quay.io/a',
  ]) {
    expect(() => assertAllowed({ allowed }, name)).toThrow(expect.objectContaining({ code: 'registry_not_allowed' }));
  }
  expect(() => assertAllowed({ allowed: [] }, 'quay.io/a')).toThrow('registry.allowed');
  expect(() => assertAllowed({}, 'quay.io/a')).not.toThrow();
});

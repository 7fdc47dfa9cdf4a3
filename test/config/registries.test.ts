import { afterAll, expect, test } from 'vitest';
import { allowedRepositories, trustedRegistries } from '../../src/config/registries.ts';
import { testConfig } from '../support/config.ts';

const { config, remove } = testConfig('postgresql://nowhere', {
  registry: {
    output: 'out.example.com',
    artifactRegistry: 'artifacts.example.com/dbs',
    insecure: ['plain.example.com:5000'],
    privateHosts: ['*.corp.example.com'],
  },
  catalogs: [
    { index: 'indexes.example.com:8443/ns/index', repository: 'https://gitlab.example.com/a/b', tokenFile: '/t' },
  ],
  binaryImages: { prod: { 'v4.16': 'base.example.com/opm:v4.16', 'v4.17': 'scratch' } },
  relatedImageRegistries: { alice: { 'old.example.com': 'new.example.com' } },
});
afterAll(remove);

test('whatever the configuration names is trusted', () => {
  expect(trustedRegistries(config, ['auth.example.com/team/a', 'other.example.com']).sort()).toEqual([
    '*.corp.example.com',
    'artifacts.example.com',
    'auth.example.com',
    'base.example.com',
    'indexes.example.com:8443',
    'new.example.com',
    'other.example.com',
    'out.example.com',
    'plain.example.com:5000',
  ]);
});

test('without a list everything is allowed; with one, what the service itself uses stays so', () => {
  expect(allowedRepositories(config)).toBeUndefined();
  expect(allowedRepositories({ ...config, registry: { ...config.registry, allowed: ['a.example.com'] } })).toEqual([
    'a.example.com',
    'out.example.com',
    'artifacts.example.com/dbs',
    'indexes.example.com:8443/ns/index',
    'base.example.com/opm',
  ]);
});

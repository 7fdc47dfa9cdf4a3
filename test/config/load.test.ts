import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { allCatalogs, catalogOf } from '../../src/config/catalogs.ts';
import { clusterAt } from '../../src/config/clusters.ts';
import { loadConfig } from '../../src/config/load.ts';
import { readSecretFile } from '../../src/config/secret-file.ts';
import { mask } from '../../src/telemetry/secrets.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'indexwright-config-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const least = {
  databaseUrl: 'postgres://service:database-password@db.example.com/indexwright',
  secretKeyFile: 'key',
  stateDir: 'state',
  registry: { output: 'reg.example.com', artifactRegistry: 'reg.example.com' },
  cluster: { url: 'https://api.example.com:6443', namespace: 'catalogs', tokenFile: '/token', caFile: '/ca.crt' },
  opm: { versions: { 'v4.19': 'opm-v1.48.0' }, default: 'opm-v1.48.0' },
};
const written = (content: unknown) => {
  const file = join(dir, 'config.yaml');
  writeFileSync(file, typeof content === 'string' ? content : stringify(content));
  return file;
};

describe('loadConfig', () => {
  test('fills in what is usual; paths are relative to the file', () => {
    const config = loadConfig(written({ ...least, catalogsDir: 'catalogs.d' }), {});
    expect(config).toMatchObject({
      stateDir: join(dir, 'state'),
      secretKeyFile: join(dir, 'key'),
      catalogsDir: join(dir, 'catalogs.d'),
      logLevel: 'info',
      api: { maxPerPage: 20, userHeader: 'X-Remote-User', loginDisabled: false },
      registry: { pushTemplate: '{registry}/iib-build:{request_id}' },
    });
  });

  test('the environment wins, and the database password is a secret from now on', () => {
    const url = 'postgres://service:environment-password@other.example.com/x';
    const config = loadConfig(written(least), { DATABASE_URL: url, INDEXWRIGHT_LOG_LEVEL: 'debug' });
    expect(config).toMatchObject({ databaseUrl: url, logLevel: 'debug' });
    expect(mask(`connecting to ${url}`)).not.toContain('environment-password');
  });

  test('every wrong key is named, with what it should be', () => {
    const file = written({ ...least, api: { port: 'eighty' }, registy: {} });
    expect(() => loadConfig(file, {})).toThrow(/is not valid:[\s\S]*registy[\s\S]*api\.port/);
  });

  test.each([
    ['no file', () => join(dir, 'absent.yaml'), /cannot be read/],
    ['no YAML', () => written('a: [b'), /cannot be read/],
    ['no mapping', () => written('just text'), /must be a YAML mapping/],
  ])('%s', (_name, file, message) => {
    expect(() => loadConfig(file(), {})).toThrow(message);
  });
});

describe('catalogs', () => {
  const mapping = (index: string) => ({
    index,
    repository: 'https://gitlab.example.com/catalogs/a',
    tokenFile: 'token',
  });

  test('a mapping that is added takes effect at once', () => {
    const config = loadConfig(written({ ...least, catalogsDir: 'catalogs.d' }), {});
    expect(allCatalogs(config)).toEqual([]);
    mkdirSync(join(dir, 'catalogs.d'));
    writeFileSync(join(dir, 'catalogs.d', 'a.yaml'), stringify(mapping('reg.example.com/ns/index')));
    expect(catalogOf(config, 'reg.example.com/ns/index', 'reg.example.com/ns/index:v4.19')).toMatchObject({
      repository: 'https://gitlab.example.com/catalogs/a',
      tokenFile: join(dir, 'catalogs.d', 'token'),
    });
  });

  test('an index without one is told in the words clients know', () => {
    const config = loadConfig(written({ ...least, catalogs: [mapping('reg.example.com/ns/index')] }), {});
    expect(() => catalogOf(config, 'reg.example.com/ns/other', 'reg.example.com/ns/other:v4.19')).toThrow(
      'Git repository mapping not found for from_index: reg.example.com/ns/other:v4.19. index_to_gitlab_push_map is required.',
    );
  });

  test('a broken mapping file is named', () => {
    mkdirSync(join(dir, 'catalogs.d'));
    writeFileSync(join(dir, 'catalogs.d', 'a.yaml'), stringify({ index: 'x' }));
    const config = loadConfig(written({ ...least, catalogsDir: 'catalogs.d' }), {});
    expect(() => allCatalogs(config)).toThrow(/a\.yaml is not valid:[\s\S]*repository/);
  });
});

describe('clusters', () => {
  const stage = { ...least.cluster, name: 'stage', url: 'https://stage.example.com:6443', namespace: 'stage-catalogs' };
  const catalog = {
    index: 'reg.example.com/ns/index',
    repository: 'https://gitlab.example.com/catalogs/a',
    tokenFile: 'token',
  };

  test('the one under "cluster" counts unless a repository names another; so does its namespace', () => {
    const config = loadConfig(written({ ...least, clusters: [stage] }), {});
    expect(clusterAt(config, {})).toEqual(least.cluster);
    expect(clusterAt(config, { namespace: 'other' })).toEqual({ ...least.cluster, namespace: 'other' });
    expect(clusterAt(config, { cluster: 'stage' })).toEqual(stage);
    expect(clusterAt(config, { cluster: 'stage', namespace: 'other' })).toEqual({ ...stage, namespace: 'other' });
  });

  test('two of one name, and names nobody has, are told with their place', () => {
    const bundleRepository = { ...catalog, index: undefined, cluster: 'nowhere' };
    const catalogs = [catalog, { ...catalog, cluster: 'prod' }];
    const file = written({ ...least, clusters: [stage, stage], catalogs, bundleRepository });
    const message = /there are two clusters stage[\s\S]*clusters\[1\][\s\S]*"prod"[\s\S]*catalogs\[1\]\.cluster/;
    expect(() => loadConfig(file, {})).toThrow(message);
    expect(() => loadConfig(file, {})).toThrow(/"nowhere"[\s\S]*bundleRepository\.cluster/);
  });

  test('a mapping file that names a cluster that is not there is named', () => {
    mkdirSync(join(dir, 'catalogs.d'));
    writeFileSync(join(dir, 'catalogs.d', 'a.yaml'), stringify({ ...catalog, cluster: 'prod' }));
    const config = loadConfig(written({ ...least, catalogsDir: 'catalogs.d' }), {});
    expect(() => allCatalogs(config)).toThrow(/a\.yaml is not valid: no cluster .* "prod"/);
  });
});

describe('readSecretFile', () => {
  test('gives the secret without blanks, and masks it from then on', () => {
    writeFileSync(join(dir, 'token'), '  glpat-example-token\n');
    expect(readSecretFile(join(dir, 'token'), 'the token')).toBe('glpat-example-token');
    expect(mask('Authorization: glpat-example-token')).toBe('Authorization: *****');
    expect(mask(Buffer.from('glpat-example-token').toString('base64'))).toBe('*****');
  });

  test('absent and empty files are told with their purpose', () => {
    writeFileSync(join(dir, 'empty'), '\n');
    expect(() => readSecretFile(join(dir, 'empty'), 'the GitLab token')).toThrow(
      'The file with the GitLab token is empty',
    );
    expect(() => readSecretFile(join(dir, 'absent'), 'the GitLab token')).toThrow(
      'The file with the GitLab token cannot be read',
    );
  });
});

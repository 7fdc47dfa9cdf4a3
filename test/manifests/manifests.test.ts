import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { CatalogConfigSchema, CheckedConfig } from '../../src/config/schema.ts';
import { tenantObjects, workerPolicy } from '../../src/onboarding/tenant.ts';
import { codeIn, page, rowsOf } from '../docs/page.ts';
import { ROOT, workloads, yamlFiles } from './files.ts';

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8');
const Kustomization = z.looseObject({
  resources: z.array(z.string()).default([]),
  transformers: z.array(z.string()).default([]),
  configMapGenerator: z.array(z.looseObject({ files: z.array(z.string()) })).default([]),
});
const config = CheckedConfig.parse(parse(read('manifests/base/config/config.yaml')));
const { api, worker, migrate } = workloads();
const containerOf = ({ spec }: typeof api) => spec.template.spec.containers[0];
const dockerfile = read('Dockerfile');

test('every file is an object, a kustomization or a configuration', () => {
  const files = [...yamlFiles('manifests'), ...yamlFiles('tekton')].filter(({ path }) => !path.includes('/config/'));
  const Named = z.looseObject({ apiVersion: z.string(), kind: z.string() });
  expect(files.length).toBeGreaterThan(15);
  for (const { path, documents } of files) {
    for (const document of documents) expect(Named.safeParse(document).success, path).toBe(true);
  }
});

const kustomizations = yamlFiles('manifests').filter(({ path }) => path.endsWith('/kustomization.yaml'));

test.each(kustomizations)('$path names every file beside it', ({ path, documents }) => {
  const { resources, transformers, configMapGenerator } = Kustomization.parse(documents[0]);
  const generated = configMapGenerator.flatMap(({ files }) => files.map((file) => file.split('=')[1] ?? file));
  const named = [...resources, ...transformers, ...generated];
  const here = dirname(join(ROOT, path));
  expect(named.filter((name) => !existsSync(join(here, name)))).toEqual([]);
  const there = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.yaml'));
  expect(there.filter((name) => name !== 'kustomization.yaml' && !named.includes(name))).toEqual([]);
});

test('the configuration is one the service accepts, and each file it names is mounted', () => {
  CatalogConfigSchema.parse(parse(read('manifests/base/config/catalogs.d/example-index.yaml')));
  const mounts = (one: typeof api) => containerOf(one).volumeMounts.map(({ mountPath }) => mountPath);
  const mounted = (one: typeof api, file: string | undefined) =>
    mounts(one).some((path) => file === path || file?.startsWith(`${path}/`));
  const { secretKeyFile, stateDir, catalogsDir, registry, cluster } = config;
  const { heartbeatFile } = config.worker;
  for (const file of [secretKeyFile, stateDir, catalogsDir, registry.authFile, cluster.tokenFile, cluster.caFile])
    expect(mounted(worker, file), file).toBe(true);
  for (const file of [secretKeyFile, catalogsDir]) expect(mounted(api, file), file).toBe(true);
  for (const each of [api, worker, migrate]) {
    const file = containerOf(each).args.at(-1);
    expect(mounts(each)).toContain(file);
    expect(mounts(each)).toContain('/tmp');
  }
  expect(JSON.stringify(containerOf(worker).startupProbe)).toContain(heartbeatFile);
  expect(JSON.stringify(containerOf(worker).readinessProbe)).toContain(heartbeatFile);
  expect(JSON.stringify(containerOf(worker).livenessProbe)).toContain(heartbeatFile);
});

test('what is written to is a volume, and everything else is read-only', () => {
  for (const { spec } of [api, worker, migrate]) {
    const pod = spec.template.spec;
    const [container] = pod.containers;
    const empty = pod.volumes.filter((volume) => 'emptyDir' in volume).map(({ name }) => name);
    const written = container.volumeMounts.filter(({ readOnly }) => !readOnly).map(({ name }) => name);
    expect(written.sort()).toEqual(empty.sort());
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(pod.securityContext).toEqual({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(pod.automountServiceAccountToken).toBe(false);
    expect(Object.keys(container.resources.limits)).toContain('memory');
    expect(
      container.volumeMounts.map(({ name }) => name).filter((name) => !pod.volumes.some((v) => v.name === name)),
    ).toEqual([]);
  }
});

test('ports, probes and selectors fit together', () => {
  expect(containerOf(api).ports).toEqual([{ name: 'http', containerPort: config.api.port }]);
  expect(config.api.host).toBe('0.0.0.0');
  expect(dockerfile).toMatch(new RegExp(`^EXPOSE ${config.api.port}$`, 'm'));
  expect(JSON.stringify(containerOf(api).readinessProbe)).toContain('"/api/v1/healthcheck"');
  const all = yamlFiles('manifests').flatMap(({ documents }) => documents);
  const Selecting = z.looseObject({
    kind: z.enum(['Service', 'PodDisruptionBudget', 'NetworkPolicy', 'Deployment']),
    spec: z.looseObject({ selector: z.unknown().optional(), podSelector: z.unknown().optional() }),
  });
  const labels = [api, worker, migrate].map(({ spec }) => spec.template.metadata.labels);
  const selecting = all.flatMap((document) => Selecting.safeParse(document).data ?? []);
  expect(selecting.length).toBeGreaterThan(8);
  for (const { kind, spec } of selecting) {
    const selector = (spec.podSelector ?? spec.selector) as Record<string, unknown>;
    const wanted = Object.entries((selector.matchLabels ?? selector) as Record<string, string>);
    const chosen = labels.filter((given) => wanted.every(([key, value]) => given[key] === value));
    expect(chosen.length, kind).toBeGreaterThan(0);
  }
});

test('commands, variables and opm versions are those of the program', () => {
  const commands = [...read('src/cli/main.ts').matchAll(/\.command\('([\w-]+)'/g)].map((match) => match[1]);
  const documented = rowsOf(page('docs/configuration.md'), 'Variable').flatMap(([cell]) => codeIn(cell));
  for (const each of [api, worker, migrate]) {
    expect(commands).toContain(containerOf(each).args[0]);
    for (const { name } of containerOf(each).env) expect(documented).toContain(name);
  }
  const versions = readdirSync(join(ROOT, 'tools/opm')).map((version) => `opm-${version}`);
  expect([...new Set([...Object.values(config.opm.versions), config.opm.default])].sort()).toEqual(versions.sort());
  expect(dockerfile).toContain(`INDEXWRIGHT_OPM_DIR=${config.opm.dir}`);
});

test('the image is made of files that are there and not ignored, and runs as no root', () => {
  const ignored = read('.dockerignore').split('\n');
  const copies = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap((match) =>
    (match[1] ?? '').split(' '),
  );
  expect(copies).toContain('src');
  for (const path of copies) {
    expect(existsSync(join(ROOT, path)), path).toBe(true);
    expect(ignored, path).not.toContain(path);
    expect(
      ignored.some((line) => line.startsWith('!') && (path === line.slice(1) || path.startsWith(`${line.slice(1)}/`))),
      path,
    ).toBe(true);
  }
  expect(dockerfile).toMatch(/^USER [1-9]\d*:0$/m);
  for (const [, image] of dockerfile.matchAll(/^ARG \w+_IMAGE=(.*)$/gm)) expect(image).toMatch(/@sha256:[0-9a-f]{64}$/);
});

test('the worker is given in the tenant namespace what its Role says, and nowhere else', () => {
  expect(workerPolicy().flatMap(({ resources, verbs }) => verbs.map((verb) => `${verb} ${resources.join()}`))).toEqual([
    'get pipelineruns',
    'list pipelineruns',
    'watch pipelineruns',
    'patch pipelineruns',
    'list taskruns',
    'get pods/log',
  ]);
  const objects = tenantObjects('tenant', { namespace: 'service', name: 'someone' });
  const binding = objects.find(({ kind }) => kind === 'RoleBinding');
  expect(binding).toMatchObject({
    metadata: { namespace: 'tenant' },
    subjects: [{ kind: 'ServiceAccount', namespace: 'service', name: 'someone' }],
  });
  const Rights = z.looseObject({ kind: z.string().regex(/Role/) });
  const rights = yamlFiles('manifests').filter(({ documents }) =>
    documents.some((one) => Rights.safeParse(one).success),
  );
  expect(rights.map(({ path }) => path)).toEqual([
    'manifests/tenant/worker-role.yaml',
    'manifests/tenant/worker-rolebinding.yaml',
  ]);
});

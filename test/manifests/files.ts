import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { z } from 'zod';

export const ROOT = resolve(import.meta.dirname, '../..');

export interface YamlFile {
  /** From the root of the project. */
  path: string;
  documents: unknown[];
}

/** The YAML files below a folder of the project. @throws Error for one that does not parse without a warning */
export function yamlFiles(folder: string): YamlFile[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
    .sort()
    .map((path) => ({
      path,
      documents: parseAllDocuments(readFileSync(join(ROOT, path), 'utf8')).map((document) => {
        const [problem] = [...document.errors, ...document.warnings];
        if (problem) throw new Error(`${path}: ${problem.message}`);
        return document.toJS() as unknown;
      }),
    }));
}

const EnvVar = z.looseObject({ name: z.string() });
export const Container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(EnvVar).default([]),
  ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
  volumeMounts: z.array(
    z.looseObject({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().default(false) }),
  ),
  resources: z.object({ requests: z.record(z.string(), z.string()), limits: z.record(z.string(), z.string()) }),
  securityContext: z.unknown(),
  startupProbe: z.unknown().optional(),
  readinessProbe: z.unknown().optional(),
  livenessProbe: z.unknown().optional(),
});
export const Workload = z.looseObject({
  kind: z.enum(['Deployment', 'Job']),
  metadata: z.looseObject({ name: z.string() }),
  spec: z.looseObject({
    selector: z.object({ matchLabels: z.record(z.string(), z.string()) }).optional(),
    template: z.looseObject({
      metadata: z.object({ labels: z.record(z.string(), z.string()) }),
      spec: z.looseObject({
        serviceAccountName: z.string(),
        automountServiceAccountToken: z.boolean(),
        securityContext: z.unknown(),
        containers: z.tuple([Container]),
        volumes: z.array(z.looseObject({ name: z.string() })),
      }),
    }),
  }),
});
export type Workload = z.infer<typeof Workload>;

/** Name of the workload without the service's → the workload: api, worker, migrate. */
export function workloads(): Record<'api' | 'worker' | 'migrate', Workload> {
  const found = yamlFiles('manifests/base')
    .flatMap(({ documents }) => documents)
    .flatMap((document) => Workload.safeParse(document).data ?? []);
  const named = (name: string) => found.find(({ metadata }) => metadata.name === `indexwright-${name}`) as Workload;
  return { api: named('api'), worker: named('worker'), migrate: named('migrate') };
}

import { existsSync, readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { migrate } from '../db/migrate.ts';
import { readAuthFile } from '../registry/auth.ts';
import type { RegistryClient } from '../registry/client.ts';
import { makeBinaryImage } from './binary-image.ts';
import { pushBundleImage } from './bundle-image.ts';
import { makeBundleRepository } from './bundle-repository.ts';
import { type RealParts, realParts } from './cluster/parts.ts';
import type { GitLabBehaviour } from './gitlab/server.ts';
import { type Layout, openLayout, writePrivate } from './layout.ts';
import { makeIndex } from './make-index.ts';
import { allUp } from './part.ts';
import { type AnyParts, imitatedParts, type Parts, TOOLS } from './parts.ts';
import type { RunningProgram } from './program.ts';
import { patientRegistryClient } from './registry-client.ts';
import { startApi, startWorker } from './service.ts';
import {
  type Addresses,
  ARCHES,
  binaryImageOf,
  OPM_VERSIONS,
  SEEDED_VERSION,
  type Seeded,
  type Settings,
  writeEnvironment,
  writeServiceConfig,
} from './service-files.ts';
import { ensureTenant } from './tenant.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/bundles');

export interface SandboxOptions {
  dir: string;
  /** `alone` leaves api and worker out. */
  service: 'with-service' | 'alone';
  /** Overrides of the service's `deadlines`, in milliseconds. */
  deadlines?: Record<string, number>;
  /** More of the service's configuration, from the addresses of the parts. */
  settings?: (at: Addresses) => Settings;
  /** Where instances of GitLab differ. */
  gitlab?: GitLabBehaviour;
  /** Told of each part as it comes up. */
  say?: (line: string) => void;
}

export interface Sandbox<Of extends AnyParts = Parts> {
  layout: Layout;
  parts: Of;
  at: Addresses;
  seeded: Seeded;
  /** What the service itself may do in the registry. */
  registryClient(): Promise<RegistryClient>;
  /** Starts the api or one more worker; stopped with the sandbox. */
  startApi(): Promise<RunningProgram>;
  startWorker(name?: string): Promise<RunningProgram>;
  stop(): Promise<void>;
}

/**
 * Brings up everything on loopback, seeded with an index of real content; on a directory that was used before, as it was.
 * The cluster is imitated in this process.
 *
 * @throws Failure `configuration_invalid` when the directory holds a sandbox with a real cluster
 */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  const layout = await openLayout(options.dir, 'imitated');
  return startOn(layout, imitatedParts(layout, options.gitlab), options);
}

/**
 * The same on the programs themselves: Kubernetes, Tekton, Pipelines-as-Code (docs/sandbox.md). One at a time on a machine.
 *
 * @throws Failure `configuration_invalid` when the directory holds a sandbox with an imitated cluster, or the programs
 *   are not there or their port is taken; `process_failed` when one of them does not start
 */
export async function startRealSandbox(options: SandboxOptions): Promise<Sandbox<RealParts>> {
  const layout = await openLayout(options.dir, 'real');
  return startOn(layout, realParts(layout), options);
}

async function startOn<Of extends AnyParts>(layout: Layout, parts: Of, options: SandboxOptions): Promise<Sandbox<Of>> {
  const { service, deadlines = {}, settings = () => ({}), say = () => {} } = options;
  const programs: RunningProgram[] = [];
  const stop = async () => {
    await Promise.all(programs.map((program) => program.stop()));
    for (const name of ['pipelinesAsCode', 'kubernetes', 'gitlab', 'registry', 'postgres'] as const) {
      await parts[name].stop();
    }
  };
  try {
    await allUp([parts.postgres, parts.registry, parts.gitlab, parts.kubernetes].map((part) => part.start()));
    await parts.pipelinesAsCode.start();
    const at = addressesOf(layout, parts);
    say(`postgres      ${new URL(at.databaseUrl).host}`);
    say(`registry      ${at.registry}`);
    say(`gitlab        ${at.gitlabUrl}`);
    say(`kubernetes    ${at.kubernetesUrl}`);
    await migrate(at.databaseUrl);
    const tenant = await ensureTenant(layout, parts);
    const binaryImage = binaryImageOf(at.registry, SEEDED_VERSION);
    writeServiceConfig(layout, at, { opmDir: TOOLS, deadlines, settings: settings(at) });
    const registryClient = () => clientOf(layout, at);
    const seeded = await seed(layout, at, await registryClient(), { binaryImage, gitlabToken: tenant.clientToken });
    say(`index         ${seeded.fromIndex}`);
    writeEnvironment(layout, at, seeded);

    const keep = (program: RunningProgram) => {
      programs.push(program);
      return program;
    };
    const sandbox: Sandbox<Of> = {
      layout,
      parts,
      at,
      seeded,
      registryClient,
      startApi: async () => keep(await startApi(layout, at.apiUrl)),
      startWorker: async (name) => keep(await startWorker(layout, name)),
      stop,
    };
    if (service === 'with-service') {
      await allUp([sandbox.startApi(), sandbox.startWorker()]);
      say(`api           ${at.apiUrl}`);
      say('worker        1 process');
    }
    return sandbox;
  } catch (thrown) {
    await stop();
    throw thrown;
  }
}

function addressesOf({ path, identity }: Layout, parts: AnyParts): Addresses {
  const kubernetes = parts.kubernetes.now;
  return {
    databaseUrl: parts.postgres.now.url,
    registry: parts.registry.now.host,
    gitlabUrl: parts.gitlab.now.url,
    kubernetesUrl: kubernetes.url,
    kubernetesCa: kubernetes.caFile,
    kubernetesTokenFile: path('secrets', 'kubernetes-token'),
    kubeconfig: kubernetes.kubeconfig,
    apiUrl: `http://127.0.0.1:${identity.ports.api}`,
  };
}

async function clientOf(layout: Layout, at: Addresses): Promise<RegistryClient> {
  return patientRegistryClient(await readAuthFile(layout.path('secrets', 'registry.json')), [at.registry]);
}

/** The first content: a base image, example bundles, and an index with all but the newest of them. Kept once made. */
async function seed(
  layout: Layout,
  at: Addresses,
  client: RegistryClient,
  known: Pick<Seeded, 'binaryImage' | 'gitlabToken'>,
): Promise<Seeded> {
  const file = layout.path('seeded.json');
  if (existsSync(file)) return { ...(JSON.parse(readFileSync(file, 'utf8')) as Seeded), ...known };
  const opmPath = join(TOOLS, OPM_VERSIONS[SEEDED_VERSION]);
  const labels = { version: SEEDED_VERSION };
  await makeBinaryImage({ client, ref: known.binaryImage, arches: ARCHES, opmPath, labels });
  const bundles: string[] = [];
  const newest: Seeded['newest'] = {};
  for (const operator of (await readdir(EXAMPLES, { withFileTypes: true })).filter((entry) => entry.isDirectory())) {
    const versions = (await readdir(join(EXAMPLES, operator.name))).sort();
    for (const version of versions) {
      const ref = `${at.registry}/examples/${operator.name}-bundle:v${version}`;
      const pushed = await pushBundleImage(client, { bundleDir: join(EXAMPLES, operator.name, version), ref });
      if (version === versions.at(-1)) newest[operator.name] = pushed;
      else bundles.push(pushed);
    }
  }
  // Replaced: a start that was killed may have left one.
  const fromIndex = `${at.registry}/catalogs/example-index:${SEEDED_VERSION}`;
  const { catalogRepoUrl } = await makeIndex(layout, {
    ref: fromIndex,
    ocp: SEEDED_VERSION,
    bundles,
    existing: 'replace',
  });
  await makeBundleRepository(layout);
  const { gitlabToken: _, ...seeded }: Seeded = { ...known, fromIndex, catalogRepoUrl, newest };
  writePrivate(file, JSON.stringify(seeded));
  return { ...seeded, ...known };
}

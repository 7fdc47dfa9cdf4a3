import { join } from 'node:path';
import { opmFor } from '../catalog/opm.ts';
import { allCatalogs, allRepositories } from '../config/catalogs.ts';
import { allowedRepositories, trustedRegistries } from '../config/registries.ts';
import type { Config, RepositoryConfig } from '../config/schema.ts';
import { readSecretFile } from '../config/secret-file.ts';
import type { DeliveredRequest } from '../db/deliveries.ts';
import type { UnresolvedRequest } from '../db/lanes.ts';
import { makerOf } from '../db/outputs.ts';
import { type DatabasePool, openDatabase } from '../db/pool.ts';
import { openSecrets, readSealingKey } from '../db/secrets.ts';
import { recordOutcome } from '../db/states.ts';
import { describe, Failure } from '../errors/failure.ts';
import { type Patience, patient, patiently } from '../errors/retry.ts';
import { createForge, type Forge } from '../forge/forge.ts';
import { secretsParent, sweepDirectories } from '../process/own-directory.ts';
import { artifactClashes, createArtifacts } from '../registry/artifact.ts';
import {
  type CredentialStore,
  noCredentials,
  openAuthDirectory,
  readAuthFile,
  withAuths,
  withEntry,
} from '../registry/auth.ts';
import { copyOut } from '../registry/blob-store.ts';
import { createRegistryClient, type RegistryClient } from '../registry/client.ts';
import { copyImage } from '../registry/copy.ts';
import type { RegistryRules } from '../registry/hops.ts';
import { nameOf } from '../registry/pull-spec.ts';
import { originOf } from '../requests/origin.ts';
import type { AnyErrand, AnyRequestWork, Destination } from '../requests/work.ts';
import { changeOf, workOf } from '../requests/works.ts';
import { type DeliveryPorts, deliver, type Report } from '../spine/delivery.ts';
import { requestLogs } from '../storage/request-log.ts';
import { createLog, type Log } from '../telemetry/log.ts';
import { openClusters } from './clusters.ts';
import { runErrand } from './errand.ts';
import type { LanePorts } from './lane-job.ts';
import { prepareDelivery } from './prepare.ts';
import type { DeliveryTools } from './tools.ts';

/** Milliseconds: an image of some hundred megabytes over a slow line. */
const COPY_TIMEOUT = 30 * 60_000;

/** For what the configuration and the pipelines name: outputs, artifacts, built images. */
const OURS: RegistryRules = { trusted: 'all' };

/** Everything a worker process holds, opened once. */
export interface Rooms {
  config: Config;
  log: Log;
  db: DatabasePool;
  logFor: DeliveryPorts['logFor'];
  delivery: DeliveryPorts;
  lanes: LanePorts;
  destinationOf(request: DeliveredRequest, work: AnyRequestWork, signal: AbortSignal): Promise<Destination>;
  /** Does the whole work of a request that needs no delivery and gives the reason of its success. */
  runErrand(request: DeliveredRequest, errand: AnyErrand, report: Report, signal: AbortSignal): Promise<string>;
  close(): Promise<void>;
}

/** Opens what the worker needs. Nothing is connected yet: a part that is down now may be up when it is needed. */
export function openRooms(config: Config, log: Log): Rooms {
  const { deadlines } = config;
  assertOwnArtifacts(config);
  const db = openDatabase(config.databaseUrl, { max: config.worker.concurrency + 5 });
  const sealingKey = readSealingKey(config.secretKeyFile);
  const clusters = openClusters(config, log);
  const patience: Patience = { total: deadlines.patience, first: 250, longest: 15_000 };
  const forges = new Map<string, Forge>();

  const forgeOf = (project: RepositoryConfig): Forge => {
    const token = readSecretFile(project.tokenFile, `the GitLab token of ${project.repository}`);
    const key = `${project.repository} ${token}`;
    const known = forges.get(key);
    if (known !== undefined) return known;
    const { stateDir } = config;
    const forge = createForge({ url: project.repository, token, stateDir, callTimeout: deadlines.call, log });
    forges.set(key, forge);
    return forge;
  };

  const serviceCredentials = () =>
    config.registry.authFile === undefined ? Promise.resolve(noCredentials) : readAuthFile(config.registry.authFile);

  /**
   * The service's credentials with what came with the request: a token for its index's repository alone (§2.2), or
   * credentials for whatever it reads and writes (§2.3).
   */
  const credentialsOf = async (requests: Pick<DeliveredRequest, 'id' | 'payload' | 'type'>[]) => {
    let store: CredentialStore = await serviceCredentials();
    for (const request of requests) {
      const secrets = await db.read((queryable) => openSecrets(queryable, sealingKey, request.id));
      for (const { spec, token } of workOf(request.type).tokens(request.payload, secrets)) {
        store = withEntry(store, spec, token);
      }
      store = withAuths(store, secrets.registry_auths?.auths);
    }
    return store;
  };

  const clientWith = (auth: CredentialStore, signal: AbortSignal, rules: RegistryRules): RegistryClient =>
    createRegistryClient({
      auth,
      insecure: config.registry.insecure,
      rules,
      callTimeout: deadlines.call,
      transfer: { minimumRate: config.registry.minimumRate, total: deadlines.transfer },
      signal,
    });

  /** For images that clients, or what they gave, name. */
  const strangersRules = (service: CredentialStore): RegistryRules => ({
    trusted: trustedRegistries(config, service.keys()),
    allowed: allowedRepositories(config),
  });

  const onRetry = (failure: Failure, wait: number) =>
    log.warn({ code: failure.code, wait, cause: describe(failure) }, 'will be tried again');

  const readingFor: DeliveryTools['readingFor'] = async (request, itsLog, signal) => {
    const service = await serviceCredentials();
    const rules = strangersRules(service);
    const reader = (auth: CredentialStore) => patient(clientWith(auth, signal, rules), patience, signal, onRetry);
    return {
      config,
      log: itsLog,
      signal,
      registry: reader(await credentialsOf([request])),
      serviceRegistry: reader(service),
      originOf: async (digest) => {
        const made = await db.read((queryable) => makerOf(queryable, digest));
        return made === null ? null : originOf(made);
      },
    };
  };

  const logFor = (requestIds: number[]) =>
    createLog(log.level, 'indexwright-worker', requestLogs(config.storage, requestIds));

  const artifacts = createArtifacts({ cacheDir: join(config.stateDir, 'artifacts') });

  const workDir = join(config.stateDir, 'work');
  void sweepLeftovers(workDir, log);

  const tools: DeliveryTools = {
    config,
    patience,
    workDir,
    readingFor,
    openWorkspace: (project, branch, dir, signal) =>
      patient(forgeOf(project), patience, signal, onRetry).openWorkspace({ branch, dir }, signal),
    openAuthDirectory: async () => openAuthDirectory(await serviceCredentials()),
    record: (requestId, outcome) => db.transaction((tx) => recordOutcome(tx, requestId, outcome)),
    opmFor: (ocpVersion) => opmFor({ config: config.opm, ocpVersion }),
    pullIndexDb: async (_request, tag, path, signal) => {
      const client = clientWith(await serviceCredentials(), signal, OURS);
      const pulled = await patiently(patience, signal, () => artifacts.pull(client, tag), onRetry);
      await copyOut(pulled.path, path);
      return { path, digest: pulled.digest };
    },
    pushIndexDb: async (tag, file, annotations, signal) =>
      artifacts.push(clientWith(await serviceCredentials(), signal, OURS), tag, { file, annotations }),
  };

  const delivery: DeliveryPorts = {
    db,
    logFor,
    times: {
      patience,
      forward: { ...patience, total: deadlines.forward },
      undo: { first: 500, longest: 30_000 },
    },
    prepare: (requests, report, itsLog, signal) =>
      prepareDelivery(tools, ({ type }) => changeOf(type), requests, report, itsLog, signal),
    open: async (plan, requests, signal) => {
      const auth = await credentialsOf(requests);
      const project = allRepositories(config).find(({ repository }) => repository === plan.repository);
      const registry = clientWith(auth, signal, OURS);
      return {
        deadlines,
        cluster: clusters.at(plan),
        forge: forgeOf(project ?? notConfigured(plan.repository)),
        registry,
        copy: async (from, to) => {
          const { insecure } = config.registry;
          await copyImage({ from, to, registry, auth, insecure, timeout: COPY_TIMEOUT, signal });
        },
      };
    },
  };

  return {
    config,
    log,
    db,
    logFor,
    delivery,
    lanes: {
      db,
      resolveWait: config.lanes.resolveWait,
      candidatesOf: (lane, unresolved) => candidatesOf(config, lane.repository, unresolved),
      deliver: (deliveryId, signal) => deliver(delivery, deliveryId, signal),
    },
    destinationOf: async (request, work, signal) => {
      const { id, user, payload } = request;
      return work.destination({ id, user, payload }, await readingFor(request, logFor([id]), signal));
    },
    runErrand: (request, errand, report, signal) =>
      runErrand(tools, errand, request, report, logFor([request.id]), signal),
    close: async () => {
      await clusters.close();
      await db.close();
    },
  };
}

/** Requests that overwrite an index whose catalog is in the repository. */
function candidatesOf(config: Config, repository: string, unresolved: readonly UnresolvedRequest[]) {
  if (unresolved.length === 0) return [];
  const indexes = new Set(allCatalogs(config).flatMap((one) => (one.repository === repository ? [one.index] : [])));
  return unresolved.filter(({ type, payload }) => {
    const work = workOf(type);
    const index = work.needs === 'delivery' ? work.overwrites(payload) : null;
    return index !== null && indexes.has(nameOrEmpty(index));
  });
}

/** Empty for a text that is no pull spec: its request fails as soon as it is resolved. */
function nameOrEmpty(spec: string): string {
  try {
    return nameOf(spec);
  } catch {
    return '';
  }
}

/** What workers that were killed have left on this machine and in a shared `stateDir`. */
async function sweepLeftovers(workDir: string, log: Log): Promise<void> {
  try {
    await sweepDirectories(secretsParent());
    await sweepDirectories(workDir);
  } catch (err) {
    log.warn({ err }, 'what killed workers left behind cannot be removed');
  }
}

function notConfigured(repository: string): never {
  throw new Error(`the repository ${repository} is not in the configuration any more`);
}

/** Two indexes that share one index.db artifact would overwrite each other's (request-handling.md H16). */
function assertOwnArtifacts(config: Config): void {
  const names = allCatalogs(config).map(({ index }) => index);
  for (const clash of artifactClashes(config.registry, names)) {
    throw new Failure(
      'configuration_invalid',
      `The indexes ${clash.join(' and ')} would share one index.db artifact: put {namespace} into registry.artifactTagTemplate`,
    );
  }
}

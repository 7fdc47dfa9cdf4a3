import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeChange } from '../catalog/description.ts';
import { METADATA_FILE, metadataText } from '../catalog/metadata.ts';
import type { DeliveredRequest } from '../db/deliveries.ts';
import { asFailure, describe, Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import { sourceBranch } from '../forge/names.ts';
import type { Workspace } from '../forge/workspace.ts';
import { ownDirectory, sweepDirectories } from '../process/own-directory.ts';
import { artifactTagFor } from '../registry/artifact.ts';
import type { RegistryClient } from '../registry/client.ts';
import { DEFAULT_LIMITS, type ExtractionLimits, extractDirectory } from '../registry/layers.ts';
import type { AnyRequestWork, Changed, Destination, Reading, Workshop } from '../requests/work.ts';
import type { Prepared, Report } from '../spine/delivery.ts';
import type { Refusal } from '../spine/endings.ts';
import type { Plan } from '../spine/plan.ts';
import type { Log } from '../telemetry/log.ts';
import type { DeliveryTools } from './tools.ts';

/** A failure of these kinds says nothing about the request: the job must run again. */
const NOT_THE_REQUEST: ReadonlySet<string> = new Set(['lease_lost', 'database_unavailable']);

/** Folder of the catalog in its repository. */
const CATALOG = 'configs';

/** The largest catalogs hold some ten thousand bundles. */
const WHOLE_CATALOG: ExtractionLimits = { ...DEFAULT_LIMITS, kept: { entries: 200_000, bytes: 3 * 1024 ** 3 } };

const AUTHOR = { name: 'Indexwright', email: 'indexwright@localhost' };

interface Shelf {
  workspace: Workspace;
  destination: Destination;
  /** Whether the workspace has the catalog that is to be changed: the branch's, or that of an image. */
  started: boolean;
}

interface Made {
  request: DeliveredRequest;
  changed: Changed;
  indexDb: string | null;
}

/**
 * Makes the change of every request of a delivery, one after the other, in one workspace and with one commit each. A
 * request whose change fails leaves the others as they were before it.
 */
export async function prepareDelivery(
  tools: DeliveryTools,
  workOf: (request: DeliveredRequest) => AnyRequestWork,
  requests: DeliveredRequest[],
  report: Report,
  log: Log,
  signal: AbortSignal,
): Promise<Prepared> {
  await sweepDirectories(tools.workDir);
  const dir = await mkdtemp(join(ownDirectory(tools.workDir), 'delivery-'));
  const dispose = () => rm(dir, { recursive: true, force: true });
  const refusals: Refusal[] = [];
  const made: Made[] = [];
  let shelf: Shelf | undefined;
  /** Shared artifact → the newest state of its database in this delivery, and the digest it was pulled at. */
  const databases = new Map<string, { path: string; digest: string | null }>();

  const openCatalog = async (destination: Destination, { serviceRegistry }: Reading): Promise<Workspace> => {
    shelf ??= {
      destination,
      workspace: await tools.openWorkspace(destination.catalog, destination.branch, join(dir, 'catalog'), signal),
      started: false,
    };
    if (destination.content !== undefined && !shelf.started) {
      await startFrom(destination.content, shelf.workspace, serviceRegistry, signal);
    }
    shelf.started = true;
    const agrees =
      shelf.destination.catalog.repository === destination.catalog.repository &&
      shelf.destination.branch === destination.branch &&
      shelf.destination.overwrite === destination.overwrite &&
      shelf.destination.content?.image === destination.content?.image;
    if (!agrees) throw new Failure('unexpected', 'The requests of a delivery do not go to the same place');
    return shelf.workspace;
  };

  const makeChange = async (request: DeliveredRequest): Promise<Made> => {
    const credentials = await tools.openAuthDirectory(request);
    try {
      return await makeChangeWith(request, credentials.env);
    } finally {
      await credentials.remove();
    }
  };

  const makeChangeWith = async (request: DeliveredRequest, childEnv: Record<string, string>): Promise<Made> => {
    // A folder for each try: what a failed one left behind is not in the way of the next.
    const scratch = await mkdtemp(join(dir, `request-${request.id}-`));
    const reading = await tools.readingFor(request, log, signal);
    const workshop: Workshop = {
      ...reading,
      scratch,
      report: (reason) => report(request.id, reason),
      record: (outcome) => tools.record(request.id, outcome),
      openCatalog: (destination) => openCatalog(destination, reading),
      openIndexDb: async (index, which = 'shared') => {
        const tag = artifactTagFor(tools.config.registry, index.tag, which);
        const source = index.artifact ?? tag;
        // A folder for each: a request may open several, and the file's name shows in what opm says of it.
        const folder = await mkdtemp(join(dir, 'db-'));
        const newest =
          databases.get(source) ?? (await tools.pullIndexDb(request, source, join(folder, 'pulled.db'), signal));
        databases.set(source, newest);
        const path = join(folder, 'index.db');
        await copyFile(newest.path, path);
        return { path, from: { tag, digest: newest.digest } };
      },
      opmFor: tools.opmFor,
      childEnv,
    };
    const { payload } = request;
    const changed = await workOf(request).change({ id: request.id, user: request.user, payload }, workshop);
    const workspace = await openCatalog(changed.destination, reading);
    await workshop.report('Writing build metadata');
    await writeFile(join(workspace.dir, METADATA_FILE), metadataText(changed.metadata));
    await workshop.report('Committing changes to Git repository');
    const message = `${changed.commit.subject}\n\n${changed.commit.body}`;
    await workspace.commit({ message, author: AUTHOR }, signal);
    return { request, changed, indexDb: changed.indexDb };
  };

  /** Leaves the workspace as it was before when it fails. */
  const tryChange = (request: DeliveredRequest) =>
    makeChange(request).catch(async (thrown: unknown) => {
      await shelf?.workspace.discard(signal);
      throw thrown;
    });

  const onRetry = (failure: Failure, wait: number) =>
    log.warn({ code: failure.code, wait, cause: describe(failure) }, 'the change will be made anew');

  try {
    for (const request of requests) {
      try {
        // Children (opm, git) meet outages, too, and half a change is of no use.
        const change = await patiently(tools.patience, signal, () => tryChange(request), onRetry);
        const { planned, indexDb } = change.changed;
        if (planned.artifact !== null && indexDb !== null) {
          const { tag, digest } = planned.artifact.shared;
          databases.set(tag, { path: indexDb, digest });
        }
        made.push(change);
      } catch (thrown) {
        const failure = asFailure(thrown);
        if (signal.aborted || NOT_THE_REQUEST.has(failure.code)) throw thrown;
        log.error({ err: thrown, request: request.id, code: failure.code }, `change failed: ${describe(thrown)}`);
        refusals.push({ requestId: request.id, failure });
      }
    }

    const plan = shelf === undefined ? null : planOf(tools, shelf, made);
    return {
      plan,
      refusals,
      dispose,
      pushBranch: async () => {
        if (plan !== null) await shelf?.workspace.push(plan.sourceBranch, signal);
      },
      pushOntoTarget: async () => {
        await shelf?.workspace.land(signal);
      },
      pushArtifact: async ({ id, artifact }) => {
        const file = made.find(({ request }) => request.id === id)?.indexDb;
        if (artifact === null || !file) throw new Failure('unexpected', `Request ${id} has no index.db to store`);
        return tools.pushIndexDb(artifact.own, file, artifact.annotations, signal);
      },
    };
  } catch (thrown) {
    await dispose();
    throw thrown;
  }
}

/**
 * Puts an image's catalog in place of the branch's, with a commit of its own: the branch a throw-away request was
 * proposed on is gone, but its image has all that was in it.
 */
async function startFrom(
  { image, path, request }: NonNullable<Destination['content']>,
  workspace: Workspace,
  client: RegistryClient,
  signal: AbortSignal,
): Promise<void> {
  await workspace.removePath(CATALOG, signal);
  await extractDirectory({ client, image, directory: path, to: join(workspace.dir, CATALOG), limits: WHOLE_CATALOG });
  const message = `IIB: Start from the index image of request ${request}\n\nImage: ${image}`;
  await workspace.commit({ message, author: AUTHOR }, signal);
  await workspace.hide(signal);
}

function planOf(tools: DeliveryTools, { workspace, destination }: Shelf, made: { changed: Changed }[]): Plan | null {
  const [first, ...others] = made.map(({ changed }) => changed);
  if (first === undefined) return null;
  const ids = [first, ...others].map(({ planned }) => planned.id);
  return {
    repository: destination.catalog.repository,
    branch: destination.branch,
    base: workspace.base,
    sourceBranch: sourceBranch({
      environment: tools.config.environment,
      request: first.planned.id,
      branch: destination.branch,
    }),
    head: workspace.head(),
    overwrite: destination.overwrite,
    proposal: destination.catalog.proposal,
    title: ids.length === 1 ? `IIB: Update for request id ${ids[0]}` : `IIB: Update for request ids ${ids.join(', ')}`,
    description: describeChange({
      requests: made.map(({ changed }) => ({ id: changed.planned.id, summary: changed.commit })),
      packages: made.every(({ changed }) => changed.packages === null)
        ? null
        : made.flatMap(({ changed }) => changed.packages ?? []),
      publicUrl: tools.config.api.publicUrl,
    }),
    pipeline: destination.catalog.pipeline,
    cluster: destination.catalog.cluster,
    namespace: destination.catalog.namespace,
    arches: first.arches,
    requests: [first.planned, ...others.map(({ planned }) => planned)],
  };
}

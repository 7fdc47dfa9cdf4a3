import type { z } from 'zod';
import type { PackageChange } from '../catalog/changes.ts';
import type { BuildMetadata } from '../catalog/metadata.ts';
import type { Opm } from '../catalog/opm.ts';
import type { CatalogConfig, Config } from '../config/schema.ts';
import type { Outcome } from '../db/outcome.ts';
import type { Secrets } from '../db/secrets.ts';
import type { Workspace } from '../forge/workspace.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { PlannedRequest } from '../spine/plan.ts';
import type { Log } from '../telemetry/log.ts';

/** A request as its type's worker part gets it. */
export interface WorkItem<Payload> {
  id: number;
  user: string | null;
  payload: Payload;
}

/** Where a request's change goes; decides which requests must follow one another. */
export interface Destination {
  catalog: CatalogConfig;
  branch: string;
  overwrite: boolean;
}

/** What reading needs, before there is a delivery. Reads are tried again by themselves while the world is unwell. */
export interface Reading {
  config: Config;
  log: Log;
  signal: AbortSignal;
  /** Holds the service's credentials and the request's own, the latter for its repository only. */
  registry: RegistryClient;
  /** The service's credentials alone: for what a request names besides the index its token is for (§18, H20). */
  serviceRegistry: RegistryClient;
}

/** A database that may be changed at will. */
export interface IndexDb {
  path: string;
  /** The artifact it is a copy of; null when there was none under this tag. */
  from: { tag: string; digest: string | null };
}

/** The private place where the change of a delivery is made: nothing outside can see it. */
export interface Workshop extends Reading {
  /** Empty directory of this request. */
  scratch: string;
  report(reason: string): Promise<void>;
  record(outcome: Outcome & { bundle_mapping?: Record<string, string[]> }): Promise<void>;
  /** The catalog branch; requests of one delivery get the same one, changed by those before. */
  openCatalog(destination: Destination): Promise<Workspace>;
  /** A private copy of the database the index shares, or of the empty one that belongs to it. */
  openIndexDb(indexSpec: string, which?: 'shared' | 'empty'): Promise<IndexDb>;
  opmFor(ocpVersion: string): Promise<Opm>;
  /** Environment that lets child processes read with the request's credentials. */
  childEnv: Record<string, string>;
}

/** A change that is made but not committed. */
export interface Changed {
  destination: Destination;
  arches: string[];
  commit: { subject: string; body: string };
  metadata: BuildMetadata;
  /** For the merge request's reviewers. */
  packages: PackageChange[];
  /** Path of the database to be stored as the request's artifact; null for types without one. */
  indexDb: string | null;
  planned: PlannedRequest;
}

/** The worker's side of a request type that goes through a delivery. */
export interface RequestWork<Payload> {
  /** Parses the stored payload. */
  payload: z.ZodType<Payload>;
  /** The registry tokens of the request, each with the pull spec whose repository it is for (request-handling.md §2.2). */
  tokens(payload: Payload, secrets: Secrets): { spec: string; token: string }[];
  /** @throws Failure with the sentence the user gets */
  destination(item: WorkItem<Payload>, reading: Reading): Promise<Destination>;
  /** @throws Failure with the sentence the user gets */
  change(item: WorkItem<Payload>, workshop: Workshop): Promise<Changed>;
}

/** The worker's side of a type as the worker sees it: stored payloads are unknown until the type has parsed them. */
export interface AnyRequestWork {
  tokens(stored: unknown, secrets: Secrets): { spec: string; token: string }[];
  destination(item: WorkItem<unknown>, reading: Reading): Promise<Destination>;
  change(item: WorkItem<unknown>, workshop: Workshop): Promise<Changed>;
}

/** Closes a type's worker side, so that only the type itself knows its payload. */
export function requestWork<Payload>(work: RequestWork<Payload>): AnyRequestWork {
  const { payload } = work;
  return {
    tokens: (stored, secrets) => work.tokens(payload.parse(stored), secrets),
    destination: (item, reading) => work.destination({ ...item, payload: payload.parse(item.payload) }, reading),
    change: (item, workshop) => work.change({ ...item, payload: payload.parse(item.payload) }, workshop),
  };
}

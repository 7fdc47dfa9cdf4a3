import type { z } from 'zod';
import type { PackageChange } from '../catalog/changes.ts';
import type { BuildMetadata } from '../catalog/metadata.ts';
import type { Opm } from '../catalog/opm.ts';
import type { Config, RepositoryConfig } from '../config/schema.ts';
import type { Outcome } from '../db/outcome.ts';
import type { Secrets } from '../db/secrets.ts';
import type { Workspace } from '../forge/workspace.ts';
import type { RegistryClient } from '../registry/client.ts';
import type { PlannedRequest } from '../spine/plan.ts';
import type { Log } from '../telemetry/log.ts';
import type { Origin } from './origin.ts';

/** A request as its type's worker part gets it. */
export interface WorkItem<Payload> {
  id: number;
  user: string | null;
  payload: Payload;
}

/** Where a request's change goes; decides which requests must follow one another. */
export interface Destination {
  catalog: RepositoryConfig;
  branch: string;
  overwrite: boolean;
  /** Whose catalog is changed instead of the branch's: an image by digest, the path in it, the request that made it. */
  content?: { image: string; path: string; request: number };
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
  /** Where an image of this digest comes from; null for one that no request has made. */
  originOf(digest: string): Promise<Origin | null>;
}

/** A database that may be changed at will. */
export interface IndexDb {
  path: string;
  /** The artifact it is a copy of; null when there was none under this tag. */
  from: { tag: string; digest: string | null };
}

/** A request's own place, and how it tells what it does and finds out. */
export interface Desk extends Reading {
  /** Empty directory of this request. */
  scratch: string;
  report(reason: string): Promise<void>;
  record(outcome: Outcome & { bundle_mapping?: Record<string, string[]> }): Promise<void>;
}

/** The private place where the change of a delivery is made: nothing outside can see it. */
export interface Workshop extends Desk {
  /** The catalog branch; requests of one delivery get the same one, changed by those before. */
  openCatalog(destination: Destination): Promise<Workspace>;
  /**
   * A private copy of the database the index shares, or of the empty one that belongs to it.
   *
   * @param index.tag of the configured index
   * @param index.artifact read instead of the shared one, by digest
   */
  openIndexDb(index: { tag: string; artifact?: string | undefined }, which?: 'shared' | 'empty'): Promise<IndexDb>;
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
  /** For the merge request's reviewers; null where it is no catalog that changes. */
  packages: PackageChange[] | null;
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
  /** The index that the request overwrites, as the request names it; null when it overwrites none. */
  overwrites(payload: Payload): string | null;
  /** @throws Failure with the sentence the user gets */
  destination(item: WorkItem<Payload>, reading: Reading): Promise<Destination>;
  /** @throws Failure with the sentence the user gets */
  change(item: WorkItem<Payload>, workshop: Workshop): Promise<Changed>;
}

/**
 * The worker's side of a request type that changes nothing outside: it reads, and leaves the request's own files. There
 * is nothing to build, to publish or to undo, so it needs no delivery; it may be run again from the beginning.
 */
export interface Errand<Payload> {
  /** Parses the stored payload. */
  payload: z.ZodType<Payload>;
  /** Gives the state reason of success. @throws Failure with the sentence the user gets */
  run(item: WorkItem<Payload>, desk: Desk): Promise<string>;
}

/** The worker's side of a type as the worker sees it: stored payloads are unknown until the type has parsed them. */
export type AnyWork = AnyRequestWork | AnyErrand;

export interface AnyErrand {
  needs: 'nothing';
  tokens(stored: unknown, secrets: Secrets): { spec: string; token: string }[];
  run(item: WorkItem<unknown>, desk: Desk): Promise<string>;
}

export interface AnyRequestWork {
  needs: 'delivery';
  tokens(stored: unknown, secrets: Secrets): { spec: string; token: string }[];
  overwrites(stored: unknown): string | null;
  destination(item: WorkItem<unknown>, reading: Reading): Promise<Destination>;
  change(item: WorkItem<unknown>, workshop: Workshop): Promise<Changed>;
}

/** Closes a type's worker side, so that only the type itself knows its payload. */
export function requestWork<Payload>(work: RequestWork<Payload>): AnyRequestWork {
  const { payload } = work;
  return {
    needs: 'delivery',
    tokens: (stored, secrets) => work.tokens(payload.parse(stored), secrets),
    overwrites: (stored) => work.overwrites(payload.parse(stored)),
    destination: (item, reading) => work.destination({ ...item, payload: payload.parse(item.payload) }, reading),
    change: (item, workshop) => work.change({ ...item, payload: payload.parse(item.payload) }, workshop),
  };
}

/** Closes an errand in the same way. */
export function errand<Payload>({ payload, run }: Errand<Payload>): AnyErrand {
  return {
    needs: 'nothing',
    tokens: () => [],
    run: (item, desk) => run({ ...item, payload: payload.parse(item.payload) }, desk),
  };
}

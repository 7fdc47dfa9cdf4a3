import type { Opm } from '../catalog/opm.ts';
import type { Config, RepositoryConfig } from '../config/schema.ts';
import type { DeliveredRequest } from '../db/deliveries.ts';
import type { Outcome } from '../db/outcome.ts';
import type { Patience } from '../errors/retry.ts';
import type { Workspace } from '../forge/workspace.ts';
import type { AuthDirectory } from '../registry/auth.ts';
import type { Reading } from '../requests/work.ts';
import type { Log } from '../telemetry/log.ts';

/** What making the changes of a delivery, or an errand, needs of the outside. */
export interface DeliveryTools {
  config: Config;
  patience: Patience;
  /** Where each worker has a directory of its own for work in progress; several may share it. */
  workDir: string;
  openWorkspace(project: RepositoryConfig, branch: string, dir: string, signal: AbortSignal): Promise<Workspace>;
  readingFor(request: DeliveredRequest, log: Log, signal: AbortSignal): Promise<Reading>;
  /** For child processes that read registries with the credentials the request may use; to be removed by the caller. */
  openAuthDirectory(request: DeliveredRequest): Promise<AuthDirectory>;
  record(requestId: number, outcome: Outcome & { bundle_mapping?: Record<string, string[]> }): Promise<void>;
  /** Gets the database of the artifact `tag` to `path`, with the digest it was read at. */
  pullIndexDb(
    request: DeliveredRequest,
    tag: string,
    path: string,
    signal: AbortSignal,
  ): Promise<{ path: string; digest: string }>;
  /** Uploads a database under `tag` and gives the artifact's digest. */
  pushIndexDb(tag: string, file: string, annotations: Record<string, string>, signal: AbortSignal): Promise<string>;
  opmFor(ocpVersion: string): Promise<Opm>;
}

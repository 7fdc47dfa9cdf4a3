import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DeliveredRequest } from '../db/deliveries.ts';
import { ownDirectory, sweepDirectories } from '../process/own-directory.ts';
import type { AnyErrand } from '../requests/work.ts';
import type { Report } from '../spine/delivery.ts';
import type { Log } from '../telemetry/log.ts';
import type { DeliveryTools } from './tools.ts';

/**
 * Runs a request's errand from its beginning to its end, in a folder of its own. After a crash it is run again: what an
 * errand leaves behind is only the request's own files, and they are written whole.
 *
 * @returns the state reason of success
 * @throws Failure with the sentence the user gets; the signal's reason
 */
export async function runErrand(
  tools: Pick<DeliveryTools, 'workDir' | 'readingFor' | 'record'>,
  errand: AnyErrand,
  { id, user, payload, ...rest }: DeliveredRequest,
  report: Report,
  log: Log,
  signal: AbortSignal,
): Promise<string> {
  await sweepDirectories(tools.workDir);
  const scratch = await mkdtemp(join(ownDirectory(tools.workDir), 'errand-'));
  try {
    const desk = {
      ...(await tools.readingFor({ id, user, payload, ...rest }, log, signal)),
      scratch,
      report: (reason: string) => report(id, reason),
      record: (outcome: Parameters<DeliveryTools['record']>[1]) => tools.record(id, outcome),
    };
    return await errand.run({ id, user, payload }, desk);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

import { appendFileSync } from 'node:fs';
import { z } from 'zod';
import type { Config } from '../config/schema.ts';
import { artifactPath } from './directories.ts';

const Line = z.looseObject({ level: z.number(), time: z.string(), msg: z.string().default(''), name: z.unknown() });
const LEVELS: Record<number, string> = { 10: 'TRACE', 20: 'DEBUG', 30: 'INFO', 40: 'WARN', 50: 'ERROR', 60: 'FATAL' };

/**
 * Writes JSON log lines to the logs of requests, one line of text each (request-handling.md §13). Nothing where no log
 * directory is configured; a log that cannot be written never fails its request (H23).
 *
 * @param requestIds requests that share what is logged
 * @returns takes masked JSON lines
 */
export function requestLogs(storage: Config['storage'], requestIds: readonly number[]): (line: string) => void {
  const files = requestIds.flatMap((id) => artifactPath(storage, 'logs', id) ?? []);
  return (line) => {
    const text = readable(line);
    for (const file of files) {
      try {
        appendFileSync(file, text, { mode: 0o664 });
      } catch {
        // The service's own log has the line; the directory may be full or gone.
      }
    }
  };
}

function readable(line: string): string {
  const { level, time, msg, name: _, err, ...details } = Line.parse(JSON.parse(line));
  const stack = z.looseObject({ stack: z.string() }).safeParse(err);
  const more = Object.keys(details).length === 0 ? '' : ` ${JSON.stringify(details)}`;
  return `${time} ${LEVELS[level] ?? level} ${msg}${more}\n${stack.success ? `${stack.data.stack}\n` : ''}`;
}

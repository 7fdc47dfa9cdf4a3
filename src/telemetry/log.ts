import pino from 'pino';
import { mask, maskValues } from './secrets.ts';

export type Log = pino.Logger;

const STDERR = 2;

/**
 * One JSON line per event on stderr, secrets masked.
 *
 * @param tell gets every line, masked, as well
 */
export function createLog(level: string, name: string, tell?: (line: string) => void): Log {
  const destination = pino.destination({ fd: STDERR, sync: true });
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: pino.stdSerializers.errWithCause },
    },
    {
      write: (line: string) => {
        const masked = maskedLine(line);
        destination.write(masked);
        tell?.(masked);
      },
    },
  );
}

/** Value by value: a secret may be a piece of JSON, and the line must remain some. */
function maskedLine(line: string): string {
  return mask(line) === line ? line : `${JSON.stringify(maskValues(JSON.parse(line)))}\n`;
}

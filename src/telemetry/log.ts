import pino from 'pino';
import { mask } from './secrets.ts';

export type Log = pino.Logger;

/** One JSON line per event on the given file descriptor (stderr by default), secrets masked. */
export function createLog(level: string, name: string, fd = 2): Log {
  const destination = pino.destination({ fd, sync: true });
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: pino.stdSerializers.errWithCause },
    },
    { write: (line: string) => void destination.write(mask(line)) },
  );
}

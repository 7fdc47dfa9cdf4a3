import { Failure } from '../errors/failure.ts';

/**
 * Node's and Postgres' codes that mean "not now": refused, reset, shutting down, starting up; a server that was made a
 * replica; a transaction that lost against another one. Classes 08 (connection exceptions) and 53 (out of connections,
 * memory, disk) count as a whole.
 */
const UNREACHABLE = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  '57P01',
  '57P02',
  '57P03',
  '57P05',
  '57014',
  '25006',
  '25P03',
  '40001',
  '40P01',
  '55P03',
]);

/** `pg` gives these no code. */
const UNREACHABLE_TEXT =
  /^(Connection terminated|Query read timeout|timeout exceeded when trying to connect|Client (has encountered|was closed))/;

/** The Postgres error below what drizzle threw, for its SQLSTATE. */
export function sqlState(thrown: unknown): string | undefined {
  for (let at: unknown = thrown; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string') return at.code;
  }
  return undefined;
}

/** `database_unavailable` when `thrown` says that Postgres cannot be talked to, else what was thrown. */
export function asDatabaseFailure(thrown: unknown): unknown {
  if (thrown instanceof Failure) return thrown;
  const code = sqlState(thrown);
  const unreachable = code !== undefined && (UNREACHABLE.has(code) || /^(08|53)/.test(code));
  return unreachable || saysUnreachable(thrown)
    ? new Failure('database_unavailable', 'The database is not reachable', { cause: thrown })
    : thrown;
}

function saysUnreachable(thrown: unknown): boolean {
  return thrown instanceof Error && (UNREACHABLE_TEXT.test(thrown.message) || saysUnreachable(thrown.cause));
}

import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { MessagingConfig } from '../config/schema.ts';
import type { Log } from '../telemetry/log.ts';

/** What rhea and Node's TLS need to know for an `amqps` broker. */
export interface TlsOptions {
  transport: 'tls';
  servername: string;
  rejectUnauthorized: true;
  ca?: string[];
  cert?: string;
  key?: string;
  enable_sasl_external?: true;
}

/**
 * TLS to a broker, its certificate always checked. With client certificate if certificate, key and authority are
 * configured and can be read; else without one, and with a warning (rest-api.md §9). The files are read at each
 * connection, so that renewed ones are taken up.
 */
export function tlsOptions(host: string, config: MessagingConfig, log: Log): TlsOptions {
  const ca = readPem(config.caFile);
  const cert = readPem(config.certFile);
  const key = readPem(config.keyFile);
  // Node takes no address for a server's name, and compares the certificate with the host then.
  const tls: TlsOptions = { transport: 'tls', servername: isIP(host) ? '' : host, rejectUnauthorized: true };
  if (ca !== null) tls.ca = [ca];
  if (ca === null || cert === null || key === null) {
    const missing = Object.entries({ caFile: ca, certFile: cert, keyFile: key }).filter(([, pem]) => pem === null);
    const names = missing.map(([name]) => `messaging.${name}`);
    log.warn({ missing: names }, 'connecting to the broker without a client certificate: a file is not there');
    return tls;
  }
  return { ...tls, cert, key, enable_sasl_external: true };
}

/** Null when there is no such file, or it may not be read: the broker will say whether it wants one. */
function readPem(file: string | undefined): string | null {
  if (file === undefined) return null;
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  }
}

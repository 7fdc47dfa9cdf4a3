import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface FrontEnd {
  /** host:port, as clients are told it. */
  host: string;
  /** Certificate of the authority that vouches for it. */
  caFile: string;
  /** Authorization headers of GETs that came by. */
  carried: string[];
  close(): Promise<void>;
}

/**
 * The web server in front of the service, as IIB deployments have one: it ends TLS with a certificate of its own
 * authority and names the user of a `Negotiate` ticket in `X-Remote-User`, which it takes from nobody else.
 */
export async function frontEnd(apiUrl: string): Promise<FrontEnd> {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-front-end-'));
  const { key, cert, caFile } = certificate(dir);
  const target = new URL(apiUrl);
  const carried: string[] = [];
  const server = createServer({ key, cert }, (incoming, outgoing) => {
    const { 'x-remote-user': _, ...headers } = incoming.headers;
    const ticket = /^Negotiate (.+)$/.exec(headers.authorization ?? '')?.[1];
    if (incoming.method === 'GET' && headers.authorization !== undefined) carried.push(headers.authorization);
    const user = ticket === undefined ? {} : { 'x-remote-user': Buffer.from(ticket, 'base64').toString() };
    const onward = request(
      {
        hostname: target.hostname,
        port: target.port,
        method: incoming.method,
        path: incoming.url,
        headers: { ...headers, ...user },
      },
      (answer) => {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(outgoing);
      },
    );
    onward.on('error', () => outgoing.writeHead(502).end());
    incoming.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    host: `localhost:${(server.address() as AddressInfo).port}`,
    caFile,
    carried,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function certificate(dir: string): { key: Buffer; cert: Buffer; caFile: string } {
  const at = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: 'pipe' });
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const ca = ['-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign'];
  openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    at('ca.key'),
    '-out',
    at('ca.crt'),
    '-days',
    '2',
    '-subj',
    '/CN=Test CA',
    ...ca,
  );
  openssl('req', ...newKey, '-keyout', at('key'), '-out', at('csr'), '-subj', '/CN=localhost');
  writeFileSync(at('ext'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n');
  const signed = ['-CA', at('ca.crt'), '-CAkey', at('ca.key'), '-CAcreateserial', '-extfile', at('ext')];
  openssl('x509', '-req', '-in', at('csr'), ...signed, '-out', at('crt'), '-days', '2');
  return { key: readFileSync(at('key')), cert: readFileSync(at('crt')), caFile: at('ca.crt') };
}

import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const exec = promisify(execFile);
const KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

/** Paths of PEM files. */
export interface Pair {
  cert: string;
  key: string;
}

/** A certificate authority in a directory of its own. */
export interface Authority {
  ca: string;
  /** Signs a certificate for this name, good for servers on 127.0.0.1 and for clients. */
  issue(name: string): Promise<Pair>;
}

/** Makes an authority with openssl. */
export async function authorityIn(dir: string): Promise<Authority> {
  await mkdir(dir, { recursive: true });
  const file = (name: string) => join(dir, name);
  const [ca, caKey] = [file('ca.crt'), file('ca.key')];
  await exec('openssl', ['req', '-x509', ...KEY, '-subj', '/CN=authority', '-keyout', caKey, '-out', ca]);
  await writeFile(file('extensions'), 'subjectAltName = IP:127.0.0.1\nextendedKeyUsage = serverAuth, clientAuth\n');
  return {
    ca,
    async issue(name) {
      const [cert, key, request] = [file(`${name}.crt`), file(`${name}.key`), file(`${name}.csr`)];
      await exec('openssl', ['req', ...KEY, '-subj', `/CN=${name}`, '-keyout', key, '-out', request]);
      const signer = ['-CA', ca, '-CAkey', caKey, '-CAcreateserial', '-days', '2', '-extfile', file('extensions')];
      await exec('openssl', ['x509', '-req', '-in', request, ...signer, '-out', cert]);
      return { cert, key };
    },
  };
}

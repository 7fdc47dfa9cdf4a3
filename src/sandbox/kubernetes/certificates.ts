import { existsSync } from 'node:fs';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../../errors/failure.ts';
import { run } from '../../process/run.ts';

export interface Certificates {
  caFile: string;
  ca: string;
  certificate: string;
  key: string;
}

const CONFIG = `
[req]
prompt = no
distinguished_name = name
[name]
CN = indexwright sandbox
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, IP:::1, DNS:localhost, DNS:kubernetes.default.svc
`;

/**
 * The certificate authority and the server certificate of the imitated cluster; made once by `openssl`, kept in `dir`.
 *
 * @throws Failure `process_failed` when openssl is missing or refuses
 */
export async function certificates(dir: string): Promise<Certificates> {
  const ready = join(dir, 'tls');
  if (!existsSync(ready)) await make(dir, ready);
  const caFile = join(ready, 'ca.crt');
  const [ca, certificate, key] = await Promise.all(
    ['ca.crt', 'server.crt', 'server.key'].map((name) => readFile(join(ready, name), 'utf8')),
  );
  return { caFile, ca: ca ?? '', certificate: certificate ?? '', key: key ?? '' };
}

async function make(dir: string, ready: string): Promise<void> {
  // Made aside and moved: a start that is cut off leaves no half certificates.
  const work = join(dir, 'tls.new');
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true, mode: 0o700 });
  const file = (name: string) => join(work, name);
  await writeFile(file('openssl.cnf'), CONFIG);
  const newKey = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-config',
    file('openssl.cnf'),
  ];
  await openssl(
    'req',
    '-x509',
    ...newKey,
    '-extensions',
    'authority',
    '-days',
    '3650',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.crt'),
  );
  await openssl('req', ...newKey, '-keyout', file('server.key'), '-out', file('server.csr'));
  const signer = ['-CA', file('ca.crt'), '-CAkey', file('ca.key'), '-set_serial', `0x${Date.now().toString(16)}`];
  const extensions = ['-extfile', file('openssl.cnf'), '-extensions', 'server'];
  await openssl(
    'x509',
    '-req',
    '-in',
    file('server.csr'),
    ...signer,
    ...extensions,
    '-days',
    '3650',
    '-out',
    file('server.crt'),
  );
  await chmod(file('ca.crt'), 0o644);
  await rename(work, ready);
}

async function openssl(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await run('openssl', args, { timeout: 60_000 });
  if (exitCode !== 0) throw new Failure('process_failed', 'openssl could not make the certificates', { cause: stderr });
}

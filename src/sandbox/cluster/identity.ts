import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../../errors/failure.ts';
import { run } from '../../process/run.ts';
import { registerSecret } from '../../telemetry/secrets.ts';
import { type Certificates, certificates } from '../kubernetes/certificates.ts';
import { kubeconfigOf } from '../kubernetes/kubeconfig.ts';
import { writePrivate } from '../layout.ts';
import { freePorts } from '../ports.ts';

/** Ports that objects in etcd know of, so they stay with the directory. */
const Kept = z.object({ etcd: z.number(), etcdPeer: z.number(), tektonWebhook: z.number(), adminToken: z.string() });

/** Addresses, certificates and tokens of a real cluster, made once for its directory. */
export interface ClusterIdentity extends Omit<z.infer<typeof Kept>, 'adminToken'> {
  dir: string;
  url: string;
  apiPort: number;
  adminToken: string;
  tls: Certificates;
  /** Certificate and key of the API server, and the key pair that signs tokens of ServiceAccounts: paths of PEM files. */
  files: { certificate: string; key: string; accountKey: string; accountPublicKey: string; tokens: string };
  /** As admin; the second one means Pipelines-as-Code's own namespace where none is named. */
  kubeconfig: string;
  pacKubeconfig: string;
}

/** Namespace of Pipelines-as-Code itself. */
export const PAC_NAMESPACE = 'pipelines-as-code';
/** Where the webhook of Pipelines-as-Code listens; it cannot be told otherwise. */
export const PAC_WEBHOOK_PORT = 8443;

/** Reads or makes the identity of the cluster in `dir`, whose API server listens on `apiPort`. */
export async function clusterIdentity(dir: string, apiPort: number): Promise<ClusterIdentity> {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const file = (name: string) => join(dir, name);
  const tls = await certificates(dir);
  const { adminToken, ...ports } = await keptIn(file('cluster.json'));
  registerSecret(adminToken);
  const files = {
    certificate: file('tls/server.crt'),
    key: file('tls/server.key'),
    accountKey: file('accounts.key'),
    accountPublicKey: file('accounts.pub'),
    tokens: file('tokens.csv'),
  };
  if (!existsSync(files.accountPublicKey)) {
    await openssl('genrsa', '-out', files.accountKey, '2048');
    await openssl('rsa', '-in', files.accountKey, '-pubout', '-out', files.accountPublicKey);
  }
  writePrivate(files.tokens, `${adminToken},admin,admin,system:masters\n`);
  const url = `https://127.0.0.1:${apiPort}`;
  const admin = { server: url, ca: tls.ca, token: adminToken };
  const [kubeconfig, pacKubeconfig] = [file('kubeconfig'), file('kubeconfig-pipelines-as-code')];
  writePrivate(kubeconfig, kubeconfigOf(admin));
  writePrivate(pacKubeconfig, kubeconfigOf({ ...admin, namespace: PAC_NAMESPACE }));
  return { ...ports, dir, url, apiPort, adminToken, tls, files, kubeconfig, pacKubeconfig };
}

async function keptIn(file: string): Promise<z.infer<typeof Kept>> {
  if (!existsSync(file)) {
    const [etcd, etcdPeer, tektonWebhook] = await freePorts(3);
    writePrivate(
      file,
      JSON.stringify({ etcd, etcdPeer, tektonWebhook, adminToken: randomBytes(32).toString('base64url') }),
    );
  }
  return Kept.parse(JSON.parse(readFileSync(file, 'utf8')));
}

async function openssl(...args: string[]): Promise<void> {
  const { exitCode, stderr } = await run('openssl', args, { timeout: 60_000 });
  if (exitCode !== 0) throw new Failure('process_failed', 'openssl could not make a key', { cause: stderr });
}

/** In Linux's abstract namespace: the kernel gives it free when its holder ends, however that ends. */
const PLACE = '\0indexwright real cluster';

/**
 * Takes the place of the one real cluster this machine can have: the webhook of Pipelines-as-Code has a port that cannot
 * be chosen.
 *
 * @returns gives the place free
 * @throws Failure `configuration_invalid` when it is taken, with what may hold it
 */
export async function takePlace(): Promise<() => Promise<void>> {
  const place = await listening((server) => server.listen(PLACE)).catch((cause) => {
    throw new Failure(
      'configuration_invalid',
      `Another real cluster runs on this machine, and there can be only one at a time: port ${PAC_WEBHOOK_PORT}, where the webhook of Pipelines-as-Code listens, cannot be chosen. Stop the other sandbox first`,
      { cause },
    );
  });
  try {
    await ended(await listening((server) => server.listen(PAC_WEBHOOK_PORT)));
  } catch (cause) {
    await ended(place);
    throw new Failure(
      'configuration_invalid',
      `Port ${PAC_WEBHOOK_PORT} is taken, and the webhook of Pipelines-as-Code can listen on no other: stop what 'ss -ltnp' shows there`,
      { cause },
    );
  }
  return () => ended(place);
}

async function listening(start: (server: Server) => void): Promise<Server> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).once('listening', resolve);
    start(server);
  });
  return server;
}

const ended = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

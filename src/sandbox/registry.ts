import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { hash } from 'bcryptjs';
import { stringify } from 'yaml';
import { Failure } from '../errors/failure.ts';
import { dyingWithUs, killedWithUs } from '../process/dying.ts';
import { childEnvironment } from '../process/run.ts';

export interface RegistryUser {
  user: string;
  password: string;
}

/** A token service that stands in front of the registry (bearer flow). */
export interface TokenAuthority {
  /** URL clients fetch tokens from. */
  realm: string;
  service: string;
  issuer: string;
  /** PEM file with the certificate that tokens are checked against. */
  certificates: string;
}

export interface RegistryOptions {
  /** Holds storage, configuration and password file; a registry started again on it has its old content. */
  dir: string;
  /** 0 takes a free port. */
  port?: number;
  /** Who may come in, by basic or bearer authentication; anybody when absent. */
  auth?: { users: readonly RegistryUser[] } | { token: TokenAuthority };
  deletes?: 'enabled' | 'disabled';
}

export interface RunningRegistry {
  /** `127.0.0.1:port`, as it stands in pull specs. */
  host: string;
  url: string;
  pid: number;
  /** Ends the process and waits until it is gone; the content stays. */
  close(): Promise<void>;
}

type RegistryProcess = ChildProcessByStdio<null, null, Readable>;

/**
 * Starts Debian's `docker-registry` on loopback and resolves once it listens.
 *
 * @throws Failure `process_failed` when it cannot be started or ends before it listens
 */
export async function startRegistry(options: RegistryOptions): Promise<RunningRegistry> {
  await mkdir(join(options.dir, 'storage'), { recursive: true });
  const config = join(options.dir, 'config.yml');
  await writeFile(config, stringify(await configuration(options)), { mode: 0o600 });
  const [file, args] = dyingWithUs('docker-registry', ['serve', config]);
  const child = spawn(file, args, {
    env: childEnvironment({ OTEL_TRACES_EXPORTER: 'none' }),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const kill = () => child.kill('SIGKILL');
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  killedWithUs(kill, gone);
  const host = await listening(child);
  return {
    host,
    url: `http://${host}`,
    pid: child.pid ?? 0,
    close: async () => {
      child.kill('SIGTERM');
      await gone;
    },
  };
}

async function configuration({ dir, port = 0, auth, deletes = 'enabled' }: RegistryOptions): Promise<object> {
  return {
    version: 0.1,
    // The port that 0 became is told at level info only.
    log: { level: 'info', formatter: 'json', accesslog: { disabled: true } },
    storage: {
      filesystem: { rootdirectory: join(dir, 'storage') },
      delete: { enabled: deletes === 'enabled' },
      maintenance: { uploadpurging: { enabled: false } },
    },
    http: { addr: `127.0.0.1:${port}`, secret: randomBytes(16).toString('hex') },
    ...(auth === undefined ? {} : { auth: await authentication(dir, auth) }),
  };
}

async function authentication(dir: string, auth: NonNullable<RegistryOptions['auth']>): Promise<object> {
  if ('token' in auth) {
    const { certificates, ...token } = auth.token;
    return { token: { ...token, rootcertbundle: certificates } };
  }
  const path = join(dir, 'htpasswd');
  // The registry checks the hash at every request, so the cheapest cost bcrypt knows is the right one here.
  const lines = await Promise.all(auth.users.map(async ({ user, password }) => `${user}:${await hash(password, 4)}\n`));
  await writeFile(path, lines.join(''), { mode: 0o600 });
  return { htpasswd: { realm: 'sandbox', path } };
}

/** The address the registry says it listens on; the rest of its log is dropped, so that its pipe never fills. */
function listening(child: RegistryProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const lines = createInterface({ input: child.stderr });
    lines.on('line', (line) => {
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(line)?.[1];
      if (address !== undefined) {
        lines.close();
        child.stderr.resume();
        resolve(address);
      }
      said.push(line);
      if (said.length > 5) said.shift();
    });
    child.once('error', (cause) => {
      reject(new Failure('process_failed', 'docker-registry could not be started', { cause }));
    });
    child.once('close', () => {
      reject(new Failure('process_failed', 'docker-registry ended before it listened', { cause: said.join('\n') }));
    });
  });
}

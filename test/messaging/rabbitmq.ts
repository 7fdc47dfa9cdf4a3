import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../../src/sandbox/ports.ts';
import { type RunningProgram, startProgram } from '../../src/sandbox/program.ts';

export interface Rabbit {
  /** `amqp://127.0.0.1:port`; everybody is `guest`. */
  url: string;
  /** `amqps://127.0.0.1:port`; asks for a client certificate. */
  secureUrl: string;
  start(): Promise<void>;
  /** Stops the broker; what is durable stays in its directory. */
  stop(): Promise<void>;
  /** Ends everything for good. */
  close(): Promise<void>;
}

/** PEM files of the broker. */
export interface BrokerCertificates {
  ca: string;
  cert: string;
  key: string;
}

/** Debian's `rabbitmq-server` changes the user and reads /etc; this is the server itself. */
const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server';

/**
 * A RabbitMQ on loopback with its plugins for AMQP 1.0 and client certificates, kept in `dir`; not started yet. It has a
 * port mapper (epmd) of its own, so it meets no other Erlang node of the machine. Whoever shows a certificate is the user
 * `indexwright`.
 */
export async function rabbitIn(dir: string, certificates: BrokerCertificates): Promise<Rabbit> {
  const [port, securePort, nodePort, mapperPort] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  await mkdir(dir, { recursive: true });
  const file = (name: string) => join(dir, name);
  await writeFile(file('rabbitmq.conf'), configuration(port, securePort, file('users.json'), certificates));
  await writeFile(file('users.json'), JSON.stringify(USERS));
  await writeFile(file('plugins'), '[rabbitmq_amqp1_0, rabbitmq_auth_mechanism_ssl].\n');
  const env = {
    PATH: process.env.PATH ?? '',
    // The cookie of the node is kept here.
    HOME: dir,
    LANG: 'C.UTF-8',
    // Makes the script become the server, which then is our child.
    RUNNING_UNDER_SYSTEMD: 'true',
    ERL_EPMD_PORT: `${mapperPort}`,
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_NODENAME: `indexwright-${port}@localhost`,
    RABBITMQ_DIST_PORT: `${nodePort}`,
    // Few threads that do not spin while they wait: the machine has other work.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS:
      '-kernel inet_dist_use_interface {127,0,0,1} +S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none',
    RABBITMQ_CONF_ENV_FILE: file('none'),
    RABBITMQ_CONFIG_FILE: file('rabbitmq.conf'),
    RABBITMQ_ADVANCED_CONFIG_FILE: file('none.config'),
    RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins'),
    RABBITMQ_MNESIA_BASE: file('data'),
    RABBITMQ_LOG_BASE: file('log'),
    RABBITMQ_PID_FILE: file('pid'),
    RABBITMQ_GENERATED_CONFIG_DIR: file('generated'),
    RABBITMQ_FEATURE_FLAGS_FILE: file('feature-flags'),
  };
  const program = (name: string, path: string, args: string[], listens: number) =>
    startProgram({
      name,
      file: path,
      args,
      env,
      log: file(`${name}.log`),
      ready: (signal) => accepts(listens, signal),
    });
  let mapper: RunningProgram | undefined;
  let server: RunningProgram | undefined;
  return {
    url: `amqp://127.0.0.1:${port}`,
    secureUrl: `amqps://127.0.0.1:${securePort}`,
    async start() {
      mapper ??= await program('epmd', 'epmd', ['-address', '127.0.0.1', '-port', `${mapperPort}`], mapperPort);
      server = await program('rabbitmq', existsSync(SERVER) ? SERVER : 'rabbitmq-server', [], securePort);
    },
    async stop() {
      await server?.stop();
      server = undefined;
    },
    async close() {
      await server?.stop();
      await mapper?.stop();
    },
  };
}

function configuration(port: number, securePort: number, users: string, { ca, cert, key }: BrokerCertificates): string {
  return `
listeners.tcp.1 = 127.0.0.1:${port}
listeners.ssl.1 = 127.0.0.1:${securePort}
ssl_options.cacertfile = ${ca}
ssl_options.certfile = ${cert}
ssl_options.keyfile = ${key}
ssl_options.verify = verify_peer
ssl_options.fail_if_no_peer_cert = true
auth_mechanisms.1 = PLAIN
auth_mechanisms.2 = EXTERNAL
auth_mechanisms.3 = ANONYMOUS
ssl_cert_login_from = common_name
load_definitions = ${users}
log.file = false
log.console = true
`;
}

const rights = { vhost: '/', configure: '.*', write: '.*', read: '.*' };
const USERS = {
  vhosts: [{ name: '/' }],
  users: [
    { name: 'guest', password_hash: hashOf('guest'), hashing_algorithm: 'rabbit_password_hashing_sha256', tags: '' },
    { name: 'indexwright', password_hash: '', hashing_algorithm: 'rabbit_password_hashing_sha256', tags: '' },
  ],
  permissions: [
    { user: 'guest', ...rights },
    { user: 'indexwright', ...rights },
  ],
};

/** As RabbitMQ keeps passwords: four bytes of salt, then sha256. */
function hashOf(password: string): string {
  const salt = randomBytes(4);
  const digest = createHash('sha256').update(salt).update(password).digest();
  return Buffer.concat([salt, digest]).toString('base64');
}

/** Resolves once somebody listens on the port. */
async function accepts(port: number, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (open) return;
    await sleep(100);
  }
}

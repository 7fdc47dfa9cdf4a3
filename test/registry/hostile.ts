import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { HostileCase } from './hostile-cases.ts';
import type { Task, Told } from './hostile-reader.ts';
import { type HostileServer, startHostileServer } from './hostile-server.ts';

const exec = promisify(execFile);
const READER = join(import.meta.dirname, 'hostile-reader.ts');

/**
 * Lets one process read from all these registries side by side.
 *
 * @param slow milliseconds for a call, and twice that for a transfer, of cases that end by a limit of time
 */
export async function readHostile(cases: readonly HostileCase[], slow = 1000): Promise<Told> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-hostile-'));
  const servers: HostileServer[] = [];
  try {
    const tls = cases.some(({ speaks }) => speaks === 'tls') ? await selfSigned(dir) : undefined;
    const tasks: Task[] = [];
    for (const hostile of cases) {
      const server = await startHostileServer(hostile.serve, {
        ...(hostile.speaks === 'tls' && tls !== undefined ? { tls } : {}),
        ...(hostile.speaks === 'nothing' ? { onConnect: () => {} } : {}),
        ...(hostile.speaks === 'nonsense'
          ? { onConnect: (socket) => void socket.end('HTTP/1.1 400 Bad\r\n\r\n') }
          : {}),
      });
      servers.push(server);
      const callTimeout = hostile.slow ? slow : 20_000;
      const { work = 'labels', as = 'insecure' } = hostile;
      tasks.push({ host: server.host, work, as, callTimeout, total: 2 * callTimeout });
    }
    const { stdout } = await exec(process.execPath, [READER, JSON.stringify(tasks)], { timeout: 300_000 });
    return JSON.parse(stdout) as Told;
  } finally {
    await Promise.all(servers.map((server) => server.close()));
    await rm(dir, { recursive: true, force: true });
  }
}

async function selfSigned(dir: string): Promise<{ key: string; cert: string }> {
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'];
  await exec('openssl', [
    'req',
    '-x509',
    ...curve,
    '-nodes',
    '-days',
    '2',
    '-subj',
    '/CN=nobody',
    '-keyout',
    key,
    '-out',
    cert,
  ]);
  return { key: await readFile(key, 'utf8'), cert: await readFile(cert, 'utf8') };
}

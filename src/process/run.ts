import pLimit from 'p-limit';
import { Failure } from '../errors/failure.ts';
import { shortageInWords, shortageOf } from '../errors/shortage.ts';
import { dyingWithUs, wasNotFound } from './dying.ts';
import { start } from './launcher.ts';

export interface RunOptions {
  cwd?: string;
  /** Added to a small inherited environment (PATH, HOME, proxies, CA files); the rest of ours does not reach children. */
  env?: Record<string, string>;
  /** Milliseconds after which the child's whole process group is killed. */
  timeout: number;
  signal?: AbortSignal;
  input?: string;
  /** Address space limit in MiB; a child that wants more dies (spec/opm-and-index-db.md §2.1, loop guard). */
  memory?: number;
}

export interface Ran {
  exitCode: number;
  stdout: string;
  stderr: string;
}

const INHERITED = [
  'PATH',
  'HOME',
  'LANG',
  'TMPDIR',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'GIT_SSL_CAINFO',
  'NODE_EXTRA_CA_CERTS',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
];

/** CPU-heavy children of one process share this many places. */
const places = pLimit(Number(process.env.INDEXWRIGHT_CHILDREN ?? 3));

/** The environment children get: ours, narrowed to what programs need. */
export function childEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
  return { ...Object.fromEntries(inherited), ...extra };
}

/**
 * Runs a program to its end and gives its exit code and output; a non-zero exit is not an error here.
 *
 * @throws Failure `process_timeout` when killed at the timeout, `process_failed` when it cannot be started or dies by a
 *   signal; `local_shortage` when this machine lacks what it needs; the signal's reason when aborted. Messages name the program only, never its arguments.
 */
export async function run(program: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  return places(async () => {
    options.signal?.throwIfAborted();
    const [file, argv] =
      options.memory === undefined
        ? dyingWithUs(program, args)
        : dyingWithUs('prlimit', [`--as=${options.memory * 1024 * 1024}`, program, ...args]);
    const child = start({
      file,
      args: argv,
      cwd: options.cwd ?? process.cwd(),
      env: childEnvironment(options.env),
      input: options.input,
    });
    let timedOut = false;
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill();
    }, options.timeout);
    options.signal?.addEventListener('abort', child.kill);
    try {
      const { exitCode, signal, error, ...output } = await child.ended;
      options.signal?.throwIfAborted();
      if (timedOut)
        throw new Failure('process_timeout', `${program} did not finish within ${options.timeout / 1000} s`);
      const [stdout, stderr] = [output.stdout.toString(), output.stderr.toString()];
      const shortage = error === undefined ? exitCode !== 0 && shortageInWords(stderr) : shortageOf(error);
      if (shortage) throw new Failure('local_shortage', shortage, { cause: error ?? stderr.slice(-2000) });
      if (exitCode !== null && error === undefined && !wasNotFound({ exitCode, stderr }))
        return { exitCode, stdout, stderr };
      const end = signal ? `was ended by ${signal}` : 'could not be started';
      throw new Failure('process_failed', `${program} ${end}`, { cause: error ?? stderr });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', child.kill);
    }
  });
}

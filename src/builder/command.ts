import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { asFailure, describe, Failure } from '../errors/failure.ts';
import { run } from '../process/run.ts';
import { type CredentialStore, noCredentials, readAuthFile } from '../registry/auth.ts';
import { mask } from '../telemetry/secrets.ts';
import { buildIndex } from './build.ts';
import { buildBundle } from './bundle.ts';
import type { BuildOptions } from './multi-arch.ts';

const OPTIONS = `--context <dir> --image <registry/repo:tag> --commit <sha> --result-dir <dir>
    [--metadata .iib-build-metadata.json] [--dockerfile Dockerfile] [--insecure-registry host:port]...

Environment:
  REGISTRY_AUTH_FILE, DOCKER_CONFIG  registry credentials (a docker config file; a directory with config.json)
  INDEXWRIGHT_INSECURE_REGISTRIES    registries spoken to over plain HTTP, host:port, separated by commas
  SOURCE_DATE_EPOCH                  date of the image, in seconds since 1970; unless given, the time of the commit as git
                                     has it in the context, or else now`;
const OPM_DIR = `
  INDEXWRIGHT_OPM_DIR                directory of executables named opm-vX.Y.Z`;

/** Milliseconds. */
const GIT_TIMEOUT = 30_000;

type Environment = Record<string, string | undefined>;

type Program = (argv: readonly string[], env?: Environment, out?: (line: string) => void) => Promise<number>;

/** The `build-index` program. See {@link program}. */
export const buildIndexCommand = program(
  `indexwright build-index ${OPTIONS}${OPM_DIR}`,
  async (argv, env) => ({ ...(await readOptions(argv, env)), opmDir: opmDirIn(env) }),
  buildIndex,
);

/** The `build-bundle` program. See {@link program}. */
export const buildBundleCommand = program(`indexwright build-bundle ${OPTIONS}`, readOptions, buildBundle);

/**
 * A program that reads its arguments (those after the subcommand), builds, and writes what happens to `out`. Its exit
 * codes: 0 built, 1 failed, 2 wrong usage.
 */
function program<Options extends BuildOptions>(
  usage: string,
  read: (argv: readonly string[], env: Environment) => Promise<Options>,
  build: (options: Options) => Promise<unknown>,
): Program {
  return async (argv, env = process.env, out = console.error) => {
    let options: Options;
    try {
      options = await read(argv, env);
    } catch (thrown) {
      out(mask(thrown instanceof Failure ? thrown.message : `${(thrown as Error).message}\n\n${usage}`));
      return 2;
    }
    try {
      await build({ ...options, report: (line: string) => out(mask(line)) });
      return 0;
    } catch (thrown) {
      const failure = asFailure(thrown);
      out(mask(failure.cause === undefined ? failure.message : describe(failure)));
      return 1;
    }
  };
}

function opmDirIn(env: Environment): string {
  if (env.INDEXWRIGHT_OPM_DIR) return env.INDEXWRIGHT_OPM_DIR;
  throw new Failure('configuration_invalid', 'INDEXWRIGHT_OPM_DIR must name the directory of the opm executables');
}

async function readOptions(argv: readonly string[], env: Environment): Promise<BuildOptions> {
  const { values } = parseArgs({
    args: [...argv],
    strict: true,
    options: {
      context: { type: 'string' },
      image: { type: 'string' },
      commit: { type: 'string' },
      'result-dir': { type: 'string' },
      metadata: { type: 'string' },
      dockerfile: { type: 'string' },
      'insecure-registry': { type: 'string', multiple: true },
    },
  });
  const required = (name: 'context' | 'image' | 'commit' | 'result-dir'): string => {
    const value = values[name];
    if (!value) throw new Error(`--${name} is missing`);
    return value;
  };
  const named = (env.INDEXWRIGHT_INSECURE_REGISTRIES ?? '').split(',').map((one) => one.trim());
  const options = {
    context: required('context'),
    image: required('image'),
    commit: required('commit'),
    resultDir: required('result-dir'),
    insecure: [...named.filter((one) => one !== ''), ...(values['insecure-registry'] ?? [])],
    created: env.SOURCE_DATE_EPOCH ? dateOf(env.SOURCE_DATE_EPOCH) : await commitDate(values.context, values.commit),
    ...(values.metadata === undefined ? {} : { metadata: values.metadata }),
    ...(values.dockerfile === undefined ? {} : { dockerfile: values.dockerfile }),
  };
  return { ...options, auth: await credentials(env) };
}

/** The time of a commit that is checked out; now where that cannot be told: a date must never be too early. */
async function commitDate(context: string | undefined, commit: string | undefined): Promise<Date> {
  const args = ['log', '-1', '--format=%ct', '--end-of-options', commit ?? '', '--'];
  const asked = await run('git', args, { cwd: context ?? '.', timeout: GIT_TIMEOUT }).catch(() => undefined);
  const seconds = asked?.exitCode === 0 ? asked.stdout.trim() : '';
  return seconds === '' ? new Date() : dateOf(seconds);
}

function dateOf(seconds: string): Date {
  if (/^\d{1,12}$/.test(seconds)) return new Date(Number(seconds) * 1000);
  throw new Failure('configuration_invalid', 'SOURCE_DATE_EPOCH must be a number of seconds since 1970');
}

/** A named file must be there; the default one, into which Tekton puts a service account's secrets, may be absent. */
async function credentials(env: Environment): Promise<CredentialStore> {
  if (env.REGISTRY_AUTH_FILE) return readAuthFile(env.REGISTRY_AUTH_FILE);
  if (env.DOCKER_CONFIG) return readAuthFile(join(env.DOCKER_CONFIG, 'config.json'));
  const usual = join(env.HOME ?? homedir(), '.docker', 'config.json');
  return existsSync(usual) ? readAuthFile(usual) : noCredentials;
}

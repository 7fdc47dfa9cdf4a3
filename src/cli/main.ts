import './fast-imports.ts';
import { Command, Option } from 'commander';
import { describe } from '../errors/failure.ts';
import { mask } from '../telemetry/secrets.ts';

const program = new Command('indexwright')
  .description('Manages OLM operator index images the GitOps way; answers the REST API of IIB.')
  .showHelpAfterError();

const collect = (value: string, before: string[]) => [...before, value];
const configOption = ['-c, --config <file>', 'configuration file (docs/configuration.md)'] as const;

program
  .command('api')
  .description('answer the REST API')
  .requiredOption(...configOption)
  .action(async ({ config }) => (await import('./service.ts')).runService(config, ['api']));

program
  .command('worker')
  .description('work on requests')
  .requiredOption(...configOption)
  .action(async ({ config }) => (await import('./service.ts')).runService(config, ['worker']));

program
  .command('all')
  .description('api and worker in one process')
  .requiredOption(...configOption)
  .action(async ({ config }) => (await import('./service.ts')).runService(config, ['api', 'worker']));

program
  .command('migrate')
  .description('bring the database to this version')
  .requiredOption(...configOption)
  .action(async ({ config }) => (await import('./service.ts')).runMigrations(config));

const token = program.command('token').description('static API tokens; the database keeps only their hashes');

token
  .command('create')
  .description('make a token and print it once')
  .requiredOption(...configOption)
  .requiredOption('--user <principal>', 'who its holder is')
  .option('--group <name>', 'a group of its holder, for roles; may be given several times', collect, [])
  .option('--days <number>', 'until it expires; never when not given')
  .action(async ({ config, ...given }) => (await import('./token.ts')).createTokenCommand(config, given));

token
  .command('revoke')
  .description('end a token at once')
  .requiredOption(...configOption)
  .argument('<id>')
  .action(async (id, { config }) => (await import('./token.ts')).revokeTokenCommand(config, id));

token
  .command('list')
  .description('show all tokens, without the tokens themselves')
  .requiredOption(...configOption)
  .action(async ({ config }) => (await import('./token.ts')).listTokensCommand(config));

program
  .command('catalog')
  .description('catalog repositories and the namespaces their pipelines run in')
  .command('prepare')
  .description('make a repository ready for requests, or bring it up to date: GitLab project, namespace, branches')
  .requiredOption('-f, --file <file>', 'what is wanted (docs/catalog-repository.md)')
  .option('--set-project-settings', "set the GitLab project's settings to those recommended, instead of warning")
  .action(async ({ file, setProjectSettings }) =>
    (await import('./catalog.ts')).prepareCatalogCommand(file, setProjectSettings ? 'set' : 'check'),
  );

program
  .command('build-index', { hidden: false })
  .description("make a catalog image for all its arches by registry calls: the step of tekton/'s build task")
  .helpOption(false)
  .allowUnknownOption()
  .argument('[args...]')
  .action(async (args: string[]) => {
    process.exitCode = await (await import('../builder/command.ts')).buildIndexCommand(args);
  });

program
  .command('build-bundle', { hidden: false })
  .description("make a regenerated bundle's image for all its arches: the step of tekton/bundle's build task")
  .helpOption(false)
  .allowUnknownOption()
  .argument('[args...]')
  .action(async (args: string[]) => {
    process.exitCode = await (await import('../builder/command.ts')).buildBundleCommand(args);
  });

const sandbox = program
  .command('sandbox')
  .description('bring up everything the service talks to, on loopback')
  .option('--dir <dir>', 'where it keeps its data', '.sandbox')
  .option('--no-service', 'leave api and worker out')
  .addOption(
    new Option('--cluster <kind>', 'imitate Kubernetes, Tekton and Pipelines-as-Code, or run the programs themselves')
      .choices(['imitated', 'real'])
      .default('imitated'),
  )
  .action(async ({ dir, service, cluster }) =>
    (await import('./sandbox.ts')).runSandbox(dir, { cluster, service: service ? 'with-service' : 'alone' }),
  );

sandbox
  .command('bundle')
  .description('push an unpacked bundle (manifests/, metadata/) as an image; prints its pull spec by digest')
  .argument('<bundle-dir>')
  .argument('<name:tag>')
  .action(async (bundleDir, name, _options, command) =>
    (await import('./sandbox.ts')).pushBundle(command.optsWithGlobals().dir, bundleDir, name),
  );

sandbox
  .command('fragment')
  .description(
    'push a file-based catalog (a folder for each package) as a fragment image; prints its pull spec by digest',
  )
  .argument('<fbc-dir>')
  .argument('<name:tag>')
  .action(async (fbcDir, name, _options, command) =>
    (await import('./sandbox.ts')).pushFragment(command.optsWithGlobals().dir, fbcDir, name),
  );

sandbox
  .command('index')
  .description('make an index with these bundles: catalog branch, index.db artifact and image; prints its pull spec')
  .argument('<name:tag>')
  .argument('[bundle...]', 'bundle pull specs')
  .requiredOption('--ocp <version>', 'OCP version, which is the name of the catalog branch, e.g. v4.19')
  .option('--fbc <dir>', 'folder with a folder for each package that is file-based only')
  .option('--arches <list>', 'architectures of its image, separated by commas; all four when not given', (text) =>
    text.split(','),
  )
  .option('--namespace <name>', 'where its pipelines run, made if it is not there')
  .addOption(
    new Option('--proposal <kind>', 'how its changes are proposed').choices(['merge-request', 'direct-commit']),
  )
  .option('--replace', 'replace an index of this name that exists; what it has is lost')
  .action(async (name, bundles, { fbc: fbcDir, replace, ...index }, command) => {
    const existing = replace ? 'replace' : 'refuse';
    const all = { ...index, bundles, fbcDir, existing };
    return (await import('./sandbox.ts')).makeIndex(command.optsWithGlobals().dir, name, all);
  });

program
  .command('demo')
  .description('watch one bundle travel to a published index, and a failing pipeline leave nothing behind')
  .option('--keep', 'keep the sandbox directory')
  .action(async ({ keep }) => {
    process.exitCode = await (await import('./demo.ts')).runDemo(keep ? 'keep' : 'discard');
  });

try {
  await program.parseAsync();
} catch (thrown) {
  process.stderr.write(`indexwright: ${mask(describe(thrown))}\n`);
  if (process.env.INDEXWRIGHT_LOG_LEVEL === 'debug') console.error(thrown);
  process.exitCode = 1;
}

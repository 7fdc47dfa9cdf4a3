import { loadConfig } from '../config/load.ts';
import { readAuthFile } from '../registry/auth.ts';
import { pushBundleImage } from '../sandbox/bundle-image.ts';
import { pushFragmentImage } from '../sandbox/fragment-image.ts';
import { type ClusterKind, existingLayout } from '../sandbox/layout.ts';
import { makeIndex as makeSandboxIndex } from '../sandbox/make-index.ts';
import { patientRegistryClient } from '../sandbox/registry-client.ts';
import { startRealSandbox, startSandbox } from '../sandbox/sandbox.ts';

/** `indexwright sandbox`: up until SIGTERM or SIGINT, then everything is stopped and the data kept. */
export async function runSandbox(
  dir: string,
  { cluster, service }: { cluster: ClusterKind; service: 'with-service' | 'alone' },
): Promise<void> {
  const stopAsked = new Promise<void>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => resolve());
  });
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const start = { imitated: startSandbox, real: startRealSandbox }[cluster];
  const sandbox = await start({ dir, service, say });
  say(`environment   ${sandbox.layout.path('env')}`);
  say('ready');
  await stopAsked;
  await sandbox.stop();
}

/** `indexwright sandbox bundle`: prints the pull spec by digest. */
export async function pushBundle(dir: string, bundleDir: string, name: string): Promise<void> {
  const { client, refOf } = await sandboxRegistry(dir);
  process.stdout.write(`${await pushBundleImage(client, { bundleDir, ref: refOf(name) })}\n`);
}

/** `indexwright sandbox fragment`: prints the pull spec by digest. */
export async function pushFragment(dir: string, fbcDir: string, name: string): Promise<void> {
  const { client, refOf } = await sandboxRegistry(dir);
  process.stdout.write(`${await pushFragmentImage(client, { fbcDir, ref: refOf(name) })}\n`);
}

/** The registry of a running sandbox; names may leave it out. */
async function sandboxRegistry(dir: string) {
  const { registry } = loadConfig(existingLayout(dir).path('config.yaml'), {});
  const auth = await readAuthFile(registry.authFile as string);
  return {
    client: patientRegistryClient(auth, registry.insecure),
    refOf: (name: string) => (name.startsWith(`${registry.output}/`) ? name : `${registry.output}/${name}`),
  };
}

/** `indexwright sandbox index`: prints the pull spec by tag, as requests name it. */
export async function makeIndex(
  dir: string,
  name: string,
  index: Omit<Parameters<typeof makeSandboxIndex>[1], 'ref'>,
): Promise<void> {
  const { refOf } = await sandboxRegistry(dir);
  await makeSandboxIndex(existingLayout(dir), { ref: refOf(name), ...index });
  process.stdout.write(`${refOf(name)}\n`);
}

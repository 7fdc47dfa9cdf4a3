/**
 * Images in a registry: our client against the named baseline, skopeo processes as IIB starts them, in one run. Read are
 * digest and labels of the same images; copied is the same image of four architectures, to repositories that have nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from '../src/process/run.ts';
import { noCredentials } from '../src/registry/auth.ts';
import { createRegistryClient } from '../src/registry/client.ts';
import { mountImage } from '../src/registry/mount.ts';
import { makeBinaryImage } from '../src/sandbox/binary-image.ts';
import { pushBundleImage } from '../src/sandbox/bundle-image.ts';
import { startRegistry } from '../src/sandbox/registry.ts';
import { ARCHES } from '../src/sandbox/service-files.ts';

const IMAGES = 40;
const COPIES = 20;
const bundleDir = resolve(import.meta.dirname, '../examples/bundles/lighthouse/1.0.0');

if (process.argv.includes('--help')) {
  console.log('usage: node bench/registry.ts');
  process.exit();
}
const dir = mkdtempSync(join(tmpdir(), 'indexwright-bench-'));
const registry = await startRegistry({ dir });
const client = () => createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
try {
  await reads();
  await copies();
} finally {
  await registry.close();
  rmSync(dir, { recursive: true, force: true });
}

async function reads(): Promise<void> {
  const images: string[] = [];
  for (let at = 0; at < IMAGES; at += 1) {
    const ref = `${registry.host}/bench/bundle:v${at}`;
    images.push(await pushBundleImage(client(), { bundleDir, ref, labels: { number: String(at) } }));
  }
  const ours = await seconds(async () => {
    const reader = client();
    await Promise.all(images.map(async (image) => Object.keys(await reader.labels(await reader.resolve(image)))));
  });
  const baseline = await seconds(async () => {
    for (const image of images) await skopeo(['inspect', '--no-tags', '--tls-verify=false', `docker://${image}`]);
  });
  compare(`reading ${IMAGES} images`, {
    'one skopeo process after the other': baseline,
    'one keep-alive client': ours,
  });
}

async function copies(): Promise<void> {
  const ref = `${registry.host}/bench/base:v1`;
  const opmPath = resolve(import.meta.dirname, '../.tools/bin/opm-v1.48.0');
  await makeBinaryImage({ client: client(), ref, arches: ARCHES, opmPath, labels: {} });
  const source = await client().resolve(ref);
  const targets = (kind: string) => Array.from({ length: COPIES }, (_, at) => `${registry.host}/${kind}/copy-${at}:v1`);
  const ours = await seconds(async () => {
    for (const target of targets('mounted')) {
      if (!(await mountImage(client(), source, target))) throw new Error(`${target} was not mounted`);
    }
  });
  const baseline = await seconds(async () => {
    const flags = ['--all', '--preserve-digests', '--src-tls-verify=false', '--dest-tls-verify=false'];
    for (const target of targets('moved')) await skopeo(['copy', ...flags, `docker://${source}`, `docker://${target}`]);
  });
  compare(`${COPIES} copies within a registry`, {
    'a skopeo process each': baseline,
    'mounted by a client each': ours,
  });
}

async function skopeo(args: string[]): Promise<void> {
  const ran = await run('skopeo', args, { timeout: 60_000 });
  if (ran.exitCode !== 0) throw new Error(ran.stderr);
}

function compare(what: string, times: Record<string, number>): void {
  const [baseline = 0, ours = 0] = Object.values(times);
  for (const [how, time] of Object.entries(times)) console.log(`${what}: ${how.padEnd(36)} ${time.toFixed(2)} s`);
  console.log(`ratio: ${(baseline / ours).toFixed(1)}`);
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
process.exit(0);

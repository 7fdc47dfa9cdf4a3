/**
 * Reading images: the keep-alive client against the named baseline, one `skopeo inspect` process for each image, as
 * IIB does it. Both read digest and labels of the same images from the same registry, in one run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { run } from '../src/process/run.ts';
import { noCredentials } from '../src/registry/auth.ts';
import { createRegistryClient } from '../src/registry/client.ts';
import { pushBundleImage } from '../src/sandbox/bundle-image.ts';
import { startRegistry } from '../src/sandbox/registry.ts';

const IMAGES = 40;
const bundleDir = resolve(import.meta.dirname, '../examples/bundles/lighthouse/1.0.0');

const dir = mkdtempSync(join(tmpdir(), 'indexwright-bench-'));
const registry = await startRegistry({ dir });
try {
  const client = () => createRegistryClient({ auth: noCredentials, insecure: [registry.host], callTimeout: 10_000 });
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
    for (const image of images) {
      const args = ['inspect', '--no-tags', '--tls-verify=false', `docker://${image}`];
      const ran = await run('skopeo', args, { timeout: 60_000 });
      if (ran.exitCode !== 0) throw new Error(ran.stderr);
    }
  });
  console.log(`reading ${IMAGES} images: one skopeo process after the other   ${baseline.toFixed(2)} s`);
  console.log(`reading ${IMAGES} images: one keep-alive client                ${ours.toFixed(2)} s`);
  console.log(`ratio: ${(baseline / ours).toFixed(1)}`);
} finally {
  await registry.close();
  rmSync(dir, { recursive: true, force: true });
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}
process.exit(0);

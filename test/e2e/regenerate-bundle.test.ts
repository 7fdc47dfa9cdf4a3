import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { RegistryClient } from '../../src/registry/client.ts';
import { breakPipeline } from '../../src/sandbox/break-pipeline.ts';
import { unpackImage } from '../../src/sandbox/catalog-client.ts';
import { BUNDLE_PROJECT } from '../../src/sandbox/service-files.ts';
import { IS_BUNDLE, pushImage } from './support/bundle-images.ts';
import {
  ANNOTATIONS,
  annotated,
  CRD,
  csv,
  ENCLOSED,
  FINAL,
  imagesIn,
  type Names,
  organizations,
  PACKAGE,
  prefixed,
  REPOS,
  withImages,
} from './support/kite.ts';
import { startVault, type Vault } from './support/vault.ts';
import { View, type World, world } from './support/world.ts';

const DONE = 'The request completed successfully';

let w: World;
let vault: Vault;
let client: RegistryClient;
/** host:port */
let registry: string;
let from: string;
let digests: { operator: string; agent: string; string: string };
const dir = mkdtempSync(join(tmpdir(), 'indexwright-regenerated-'));

beforeAll(async () => {
  vault = await startVault();
  w = await world({
    workers: 1,
    settings: (at) => ({
      organizationCustomizations: organizations(at.registry),
      registry: { insecure: [at.registry, vault.host] },
    }),
  });
  client = await w.sandbox.registryClient();
  registry = w.sandbox.at.registry;
  const labelled = {
    operator: { name: 'kites/operator', version: '1' },
    agent: { name: 'kites/agent', version: '2' },
    string: { name: 'strings/string', version: '1', ...IS_BUNDLE },
  };
  const places = {
    operator: ['kites/operator:v1', 'company-pending/kites----operator:v1', 'kites/operator-1-final:v1'],
    agent: ['kites/agent:v2', 'company-pending/kites----agent:v2', 'kites/agent-2-final:v2'],
    string: ['strings/string:v1', 'company-pending/strings----string:v1', 'strings/string-1-final:v1'],
  };
  const enclosed = {
    operator: 'company-pending/kites----operator-1-final:v1',
    agent: 'company-pending/kites----agent-2-final:v2',
    string: 'company-pending/strings----string-1-final:v1',
  };
  const push = async (image: keyof typeof places) => {
    for (const place of [...places[image], enclosed[image]]) {
      await pushImage(client, { ref: `${registry}/${place}`, labels: labelled[image] });
      await pushImage(client, { ref: `${registry}/cm/${place}`, labels: labelled[image] });
    }
    return (await client.resolve(`${registry}/${places[image][0]}`)).split('@')[1] ?? '';
  };
  digests = { operator: await push('operator'), agent: await push('agent'), string: await push('string') };
  await pushImage(client, {
    ref: `${registry}/kites/kite-bundle:v1.0.0`,
    arches: ['amd64', 's390x'],
    labels: { [PACKAGE]: 'kite', vendor: 'the kite people' },
    files: {
      'manifests/kite.clusterserviceversion.yaml': csv(registry),
      'manifests/kites.crd.yaml': CRD,
      'metadata/annotations.yaml': ANNOTATIONS,
    },
  });
  from = `${registry}/kites/kite-bundle:v1.0.0`;
});
afterAll(async () => {
  await w?.close();
  await vault?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** The finished image, pulled: its labels and, the same for all its arches, its files. */
async function pull(view: z.infer<typeof View>) {
  const spec = z.string().parse(view.bundle_image);
  const unpacked = [];
  for (const arch of view.arches) {
    const to = mkdtempSync(join(dir, 'image-'));
    await unpackImage(client, spec, arch, to);
    const names = readdirSync(to, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const files = names.map(({ parentPath, name }) => [
      join(parentPath, name).slice(to.length + 1),
      readFileSync(join(parentPath, name), 'utf8'),
    ]);
    unpacked.push(Object.fromEntries(files) as Record<string, string>);
  }
  for (const other of unpacked) expect(other).toEqual(unpacked[0]);
  const files = unpacked[0] ?? {};
  return { files, text: files['manifests/kite.clusterserviceversion.yaml'] ?? '', labels: await client.labels(spec) };
}

async function regenerate(body: Record<string, unknown> = {}) {
  const view = await w.end(await w.post('regenerate-bundle', { from_bundle_image: from, ...body }));
  expect(view).toMatchObject({
    state: 'complete',
    state_reason: DONE,
    arches: ['amd64', 's390x'],
    bundle_image: `${registry}/indexwright/iib-build:${view.id}`,
    from_bundle_image_resolved: await client.resolve(from),
  });
  const pulled = await pull(view);
  expect(Object.keys(pulled.files).sort()).toEqual([
    'manifests/kite.clusterserviceversion.yaml',
    'manifests/kites.crd.yaml',
    'metadata/annotations.yaml',
  ]);
  expect(pulled.files['manifests/kites.crd.yaml']).toBe(CRD);
  expect(pulled.labels.vendor).toBe('the kite people');
  return { view, ...pulled };
}

async function relatedBundles(id: number): Promise<unknown> {
  const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/${id}/related_bundles`);
  return answer.status === 200 ? answer.json() : answer.status;
}

const written = (host = registry): Names => ({
  operator: `${host}/kites/operator:v1`,
  agent: `${host}/kites/agent:v2`,
  string: `${host}/strings/string:v1`,
});
const pinned = (repos: Names): Names => ({
  operator: `${registry}/${repos.operator}@${digests.operator}`,
  agent: `${registry}/${repos.agent}@${digests.agent}`,
  string: `${registry}/${repos.string}@${digests.string}`,
});

describe('without an organization', () => {
  test('references are pinned, related bundles are found, nothing else changes by a byte', async () => {
    const before = await w.photograph();
    const { view, text, files, labels } = await regenerate();
    expect(text).toBe(withImages(csv(registry), written(), pinned(REPOS)));
    expect(files['metadata/annotations.yaml']).toBe(ANNOTATIONS);
    expect(labels).toMatchObject({ 'com.redhat.iib.pinned': 'true', [PACKAGE]: 'kite' });
    expect(await relatedBundles(view.id)).toEqual([pinned(REPOS).string]);
    expect(view.state_history.map(({ state_reason }) => state_reason).reverse()).toEqual([
      'The request was initiated',
      'Resolving from_bundle_image',
      'Regenerating the bundle image for the following arches: amd64, s390x',
      'Cloning Git repository',
      'Extracting bundle contents',
      'Modifying bundle manifests',
      'Creating Dockerfile',
      'Writing build metadata',
      'Committing changes to Git repository',
      'Waiting on KONFLUX build',
      'Copying built index to IIB registry',
      DONE,
    ]);
    const after = await w.photograph();
    expect({ ...after, tags: null }).toEqual({ ...before, tags: null });
    expect(Object.keys(after.tags).filter((tag) => !(tag in before.tags))).toEqual([
      `indexwright/iib-build:${view.id}`,
    ]);

    const MergeRequests = z.array(
      z.object({ state: z.string(), title: z.string(), sha: z.string(), description: z.string() }),
    );
    const project = `/projects/${encodeURIComponent(BUNDLE_PROJECT)}`;
    const [proposed] = await w.gitlab('GET', `${project}/merge_requests`, MergeRequests);
    expect(proposed).toMatchObject({ state: 'closed', title: `IIB: Update for request id ${view.id}` });
    expect(proposed?.description).not.toContain('catalog');
    const commit = await w.gitlab(
      'GET',
      `${project}/repository/commits/${proposed?.sha}`,
      z.object({ message: z.string() }),
    );
    expect(commit.message.trimEnd()).toBe(
      `IIB: Regenerate bundle for request ${view.id}\n\nOrganization: None\nPackage: kite`,
    );
  });

  test('what was pinned before is left alone', async () => {
    const first = await regenerate();
    const again = await w.end(await w.post('regenerate-bundle', { from_bundle_image: first.view.bundle_image }));
    expect((await pull(again)).text).toBe(first.text);
  });

  test('a bundle is replaced by another, others are passed over', async () => {
    const { text } = await regenerate({
      organization: 'nobody we know',
      bundle_replacements: {
        [pinned(REPOS).string]: `${registry}/strings/string:v2`,
        [pinned(REPOS).agent]: `${registry}/kites/other:v9`,
      },
    });
    expect(text).toBe(
      withImages(csv(registry), written(), { ...pinned(REPOS), string: `${registry}/strings/string:v2` }),
    );
  });
});

describe('each customization alone', () => {
  test('resolve_image_pullspecs', async () => {
    const { view, text, labels } = await regenerate({ organization: 'only-pin' });
    expect(text).toBe(withImages(csv(registry), written(), pinned(REPOS)));
    expect(labels['com.redhat.iib.pinned']).toBe('true');
    expect(await relatedBundles(view.id)).toBe(500);
  });

  test('related_bundles', async () => {
    const { view, text, labels } = await regenerate({ organization: 'only-related' });
    expect(text).toBe(csv(registry));
    expect(labels['com.redhat.iib.pinned']).toBeUndefined();
    expect(await relatedBundles(view.id)).toEqual([written().string]);
  });

  test('perform_bundle_replacements', async () => {
    const replaced = `${registry}/strings/string:v2`;
    const { text } = await regenerate({
      organization: 'only-bundles',
      bundle_replacements: { [written().string]: replaced },
    });
    expect(text).toBe(withImages(csv(registry), written(), { ...written(), string: replaced }));
  });

  test('package_name_suffix', async () => {
    const { text, files, labels } = await regenerate({ organization: 'only-suffix' });
    expect(text).toBe(csv(registry));
    expect(files['metadata/annotations.yaml']).toBe(ANNOTATIONS.replace('kite ', 'kite-cmp '));
    expect(labels[PACKAGE]).toBe('kite-cmp');
  });

  test('registry_replacements', async () => {
    const { text } = await regenerate({ organization: 'only-registry' });
    const moved = (image: string) => image.replace(registry, `${registry}/cm`);
    const { operator, agent, string } = written();
    expect(imagesIn(text)).toEqual([moved(operator), moved(operator), moved(string), moved(agent)]);
    expect(text).toContain(`containerImage: "${moved(operator)}"   # what is run`);
  });

  test('image_name_from_labels', async () => {
    const { text } = await regenerate({ organization: 'only-names' });
    expect(text).toBe(
      withImages(csv(registry), written(), {
        operator: `${registry}/kites/operator-1-final:v1`,
        agent: `${registry}/kites/agent-2-final:v2`,
        string: `${registry}/strings/string-1-final:v1`,
      }),
    );
  });

  test('csv_annotations', async () => {
    const { text } = await regenerate({ organization: 'only-annotations' });
    expect(text).toBe(annotated(csv(registry), 'kite'));
  });

  test('enclose_repo', async () => {
    const { text } = await regenerate({ organization: 'only-enclose' });
    expect(text).toBe(
      withImages(csv(registry), written(), {
        operator: `${registry}/company-pending/kites----operator:v1`,
        agent: `${registry}/company-pending/kites----agent:v2`,
        string: `${registry}/company-pending/strings----string:v1`,
      }),
    );
  });
});

describe('all together, in a batch', () => {
  test('order matters: each sees what those before it did', async () => {
    const cm = pinned(prefixed('cm/', REPOS));
    const answer = await fetch(`${w.sandbox.at.apiUrl}/api/v1/builds/regenerate-bundle-batch`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        build_requests: [
          { from_bundle_image: from, organization: 'first', bundle_replacements: { [cm.string]: cm.agent } },
          { from_bundle_image: from, organization: 'second' },
          { from_bundle_image: from, organization: 'third' },
        ],
      }),
    });
    const posted = z.array(View).parse(await answer.json());
    const [first, second, third] = await Promise.all(
      posted.map(async (request) => {
        const view = await w.end(request);
        expect(view.state_reason).toBe(DONE);
        const related = await relatedBundles(view.id);
        return { ...(await pull(view)), related };
      }),
    );
    // Pinned, moved; the string bundle replaced by the agent; then named after the labels, then enclosed.
    const enclosed = pinned(ENCLOSED);
    expect(imagesIn(first?.text ?? '')).toEqual([enclosed.operator, enclosed.operator, enclosed.agent, enclosed.agent]);
    expect(first?.related).toEqual([pinned(REPOS).string]);
    expect(first?.text).toContain('operators/kite-cmp/pricing');

    expect(imagesIn(second?.text ?? '')).toEqual([
      enclosed.operator,
      enclosed.operator,
      enclosed.string,
      enclosed.agent,
    ]);
    expect(second?.related).toEqual([enclosed.string]);
    expect(second?.text).toContain('operators/kite/pricing');

    // Enclosed first, the labels' names win; moved; and only the last step gives digests.
    const last = pinned(prefixed('cm/', FINAL));
    expect(imagesIn(third?.text ?? '')).toEqual([last.operator, last.operator, last.string, last.agent]);
    expect(third?.related).toEqual([`${registry}/cm/strings/string-1-final:v1`]);
    for (const one of [first, second, third]) {
      expect(one?.labels).toMatchObject({ [PACKAGE]: 'kite-cmp', 'com.redhat.iib.pinned': 'true' });
      expect(one?.text).toMatch(/^# The kite operator\.\n/);
      expect(one?.text).toContain('  maintainers: []   # nobody\n');
    }
  });
});

describe('organizations', () => {
  test('company-marketplace: all that a marketplace wants', async () => {
    const { text, labels } = await regenerate({ organization: 'company-marketplace' });
    const enclosed = pinned(ENCLOSED);
    expect(imagesIn(text)).toEqual([enclosed.operator, enclosed.operator, enclosed.string, enclosed.agent]);
    expect(text).toContain(`image: "${enclosed.agent}"`.replace('image: ', '"image": '));
    expect(text).toContain('operators/kite/pricing');
    expect(labels[PACKAGE]).toBe('kite-cmp');
  });

  test('company-managed: moved and renamed', async () => {
    const { text, labels } = await regenerate({ organization: 'company-managed' });
    const moved = pinned(prefixed('cm/', REPOS));
    expect(imagesIn(text)).toEqual([moved.operator, moved.operator, moved.string, moved.agent]);
    expect(text).toContain('operators/kite-cmp/pricing');
    expect(labels[PACKAGE]).toBe('kite-cmp');
  });
});

test('registry_auths open what the service may not read, for this request alone', async () => {
  const ref = `${registry}/kites/kite-of-the-vault-bundle:v1`;
  const files = {
    'manifests/kite.clusterserviceversion.yaml': csv(vault.host),
    'metadata/annotations.yaml': ANNOTATIONS,
  };
  await pushImage(client, { ref, files });
  const named = written(vault.host);
  const inVault = { ...named };
  for (const name of ['operator', 'agent', 'string'] as const) {
    inVault[name] = await pushImage(vault.client, { ref: named[name], labels: { name } });
  }
  const body = { from_bundle_image: ref };
  const opened = await w.end(await w.post('regenerate-bundle', { ...body, registry_auths: vault.auths }));
  expect(opened).toMatchObject({ state: 'complete', state_reason: DONE });
  expect((await pull(opened)).text).toBe(withImages(csv(vault.host), named, inVault));
  expect(await w.query('select * from request_secrets', z.unknown())).toEqual([]);

  const shut = await w.end(await w.post('regenerate-bundle', body));
  // They are asked for side by side: any of the three may be refused first.
  const refused = Object.values(named).map(
    (image) => `The registry ${vault.host} wants credentials for ${image}, and there are none for it.`,
  );
  expect(refused).toContain(shut.state_reason);
  expect(shut.state).toBe('failed');
});

describe('failures', () => {
  test('an image that is gone fails the request before anything is touched', async () => {
    const before = await w.photograph();
    const gone = `${registry}/kites/gone:v1`;
    const broken = csv(registry).replaceAll(`${registry}/kites/agent:v2`, gone);
    const ref = `${registry}/kites/broken-bundle:v1`;
    await pushImage(client, {
      ref,
      files: { 'manifests/kite.clusterserviceversion.yaml': broken, 'metadata/annotations.yaml': ANNOTATIONS },
    });
    const ended = await w.end(await w.post('regenerate-bundle', { from_bundle_image: ref }));
    expect(ended).toMatchObject({
      state: 'failed',
      state_reason: `Failed to inspect docker://${gone}. Make sure it exists and is accessible to IIB.`,
    });
    const after = await w.photograph();
    delete after.tags['kites/broken-bundle:v1'];
    expect(after).toEqual(before);
  });

  test('a pipeline that fails is told with the prefix, and nothing is left behind', async () => {
    await breakPipeline({
      catalogRepoUrl: `${w.sandbox.at.gitlabUrl}/${BUNDLE_PROJECT}`,
      branch: 'regenerate-bundle',
      token: w.sandbox.seeded.gitlabToken,
    });
    const before = await w.photograph();
    const ended = await w.end(await w.post('regenerate-bundle', { from_bundle_image: from }));
    expect(ended.state).toBe('failed');
    expect(ended.state_reason).toMatch(/^Failed to regenerate bundle: Pipelinerun \S+ failed/);
    expect(await w.photograph()).toEqual(before);
  });
});

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleFiles, pushImage } from '../e2e/support/bundle-images.ts';
import { releaseToken } from '../e2e/support/content.ts';
import { type World, world } from '../e2e/support/world.ts';
import { type FrontEnd, frontEnd } from './support/front-end.ts';
import { type IibLib, iiblib, noPythonClients, pubtools } from './support/python.ts';

const PRINCIPAL = 'release-bot@EXAMPLE.COM';
const NO_SUCH = 'examples/nothing:v1';

describe.skipIf(noPythonClients)(noPythonClients ? `skipped: ${noPythonClients}` : 'the Python clients', () => {
  let here: World;
  let front: FrontEnd;
  let lib: IibLib;
  beforeAll(async () => {
    here = await world({ workers: 1 });
    front = await frontEnd(here.sandbox.at.apiUrl);
    lib = iiblib(front, PRINCIPAL);
  });
  afterAll(async () => {
    await lib?.close();
    await front?.close();
    await here?.close();
  });

  const index = () => here.sandbox.seeded.fromIndex;
  const newest = (operator: string) => here.sandbox.seeded.newest[operator] ?? '';
  const noSuch = () => `${here.sandbox.at.registry}/${NO_SUCH}`;
  const overwriting = () => ({ overwrite_from_index: true, overwrite_from_index_token: releaseToken(here) });
  const schema = JSON.stringify({ schema: 'olm.deprecations', package: 'lighthouse', entries: [] });
  const done = async (call: string, args: object) => (await lib.call(call, args, { wait: true })).result;

  describe('iiblib 7.4.0', () => {
    test('add_bundles, to the end', async () => {
      const build = await done('add_bundles', { index_image: index(), bundles: [newest('lighthouse')], arches: [] });
      expect(build).toMatchObject({
        model: 'AddModel',
        state: 'complete',
        user: PRINCIPAL,
        request_type: 'add',
        bundle_mapping: { lighthouse: [newest('lighthouse')] },
        arches: ['amd64', 'arm64', 'ppc64le', 's390x'],
      });
      expect(build.internal_index_image_copy_resolved.split('/')).toHaveLength(3);
    });

    test('add_bundles with every argument it has', async () => {
      const { result } = await lib.call('add_bundles', {
        index_image: index(),
        bundles: [newest('harbor-pilot')],
        arches: ['amd64'],
        binary_image: here.sandbox.seeded.binaryImage,
        build_tags: ['v4.19-nightly'],
        cnr_token: 'cnr',
        check_related_images: true,
        deprecation_list: [newest('lighthouse')],
        organization: 'acme',
        ...overwriting(),
      });
      expect(result).toMatchObject({ state: 'in_progress', organization: 'acme', build_tags: ['v4.19-nightly'] });
      expect(JSON.stringify(result)).not.toContain(releaseToken(here));
      expect((await lib.call('wait_for_build', { bid: result.id })).result.state).not.toBe('in_progress');
    });

    test('remove_operators, to the end', async () => {
      const args = { index_image: index(), operators: ['harbor-pilot'], arches: null };
      expect(await done('remove_operators', args)).toMatchObject({
        model: 'RmModel',
        state: 'complete',
        removed_operators: ['harbor-pilot'],
      });
    });

    test('add_deprecations, overwriting, to the end', async () => {
      const args = { index_image: index(), operator_package: 'lighthouse', deprecation_schema: schema };
      const build = await done('add_deprecations', { ...args, ...overwriting() });
      expect(build).toMatchObject({ model: 'AddDeprecationsModel', state: 'complete', index_image: index() });
    });

    test('create_empty_index, to the end', async () => {
      expect(await done('create_empty_index', { index_image: index(), labels: { team: 'x' } })).toMatchObject({
        model: 'CreateEmptyIndexModel',
        state: 'complete',
        labels: { team: 'x' },
      });
    });

    test.each(['add_bundles', 'remove_operators', 'add_deprecations', 'create_empty_index', 'regenerate_bundle'])(
      '%s that fails, to the end',
      async (call) => {
        const from = { index_image: noSuch() };
        const args: Record<string, object> = {
          add_bundles: { ...from, bundles: [newest('lighthouse')], arches: [] },
          remove_operators: { ...from, operators: ['lighthouse'], arches: [] },
          add_deprecations: { ...from, operator_package: 'lighthouse', deprecation_schema: schema },
          create_empty_index: from,
          regenerate_bundle: { bundle_image: noSuch(), organization: 'acme' },
        };
        const build = await done(call, args[call] ?? {});
        expect(build.state).toBe('failed');
        expect(build.state_reason).toContain(noSuch());
      },
    );

    test('regenerate_bundle, to the end', async () => {
      const client = await here.sandbox.registryClient();
      const { registry } = here.sandbox.at;
      const image = `${registry}/kites/operator:v1`;
      await pushImage(client, { ref: image });
      const bundle = `${registry}/kites/kite-bundle:v1.0.0`;
      const labels = { 'operators.operatorframework.io.bundle.package.v1': 'kite' };
      await pushImage(client, { ref: bundle, labels, files: bundleFiles('kite', [image]) });
      const build = await done('regenerate_bundle', { bundle_image: bundle });
      expect([build.model, build.state, build.state_reason]).toEqual([
        'RegenerateBundleModel',
        'complete',
        expect.any(String),
      ]);
      expect(build).toMatchObject({ bundle_image: expect.stringContaining(`:${build.id}`), from_bundle_image: bundle });
    });

    test('get_build and raw answers', async () => {
      const { result } = await lib.call('get_builds', { raw: true });
      const [newestBuild] = result.items;
      expect((await lib.call('get_build', { bid: newestBuild.id })).result).toMatchObject({ id: newestBuild.id });
      const raw = (await lib.call('get_build', { bid: newestBuild.id, raw: true })).result;
      expect(raw.state_history.length).toBeGreaterThan(1);
    });

    test('get_builds, turning pages', async () => {
      await Promise.all(Array.from({ length: 12 }, () => here.post('rm', { from_index: noSuch(), operators: ['x'] })));
      const { result } = await lib.call('get_builds');
      expect([result.page, result.items.length]).toEqual([1, 20]);
      const turned = (await lib.call('get_builds', {}, { turn: ['next'] })).result;
      expect([turned.page, turned.items.length > 0]).toEqual([2, true]);
      const back = (await lib.call('get_builds', {}, { turn: ['next', 'prev', 'reload_page'] })).result;
      expect(back.page).toBe(1);
    });

    test('every refusal is the error text of the answer', async () => {
      const args = { index_image: 'untagged', operators: ['x'], arches: [] };
      expect(await lib.call('remove_operators', args)).toEqual({
        raised: 'IIBException',
        text: 'Image untagged should have a tag or a digest specified.',
      });
      expect(await lib.call('get_build', { bid: 471_100 })).toEqual({
        raised: 'IIBException',
        text: 'The requested resource was not found',
      });
    });

    test('GETs carry the ticket of the POST before them, and do not mind', () => {
      expect(front.carried.length).toBeGreaterThan(10);
      expect(new Set(front.carried).size).toBe(1);
    });

    test('without a ticket the caller is anonymous; basic authentication is broken in the client itself', async () => {
      const args = { index_image: noSuch(), operators: ['x'], arches: [] };
      const { result } = await lib.call('remove_operators', args, { auth: 'none', wait: true });
      expect(result).toMatchObject({ user: null, state: 'failed' });
      expect((await lib.call('get_builds', {}, { auth: 'basic' })).raised).toBe('InvalidHeader');
    });
  });

  describe('pubtools-iib 0.26.0', () => {
    const run = (command: string, ...args: string[]) =>
      pubtools(front, PRINCIPAL, `pubtools-iib-${command}`, ['--build-timeout', '120', ...args]);
    const token = () => ['--overwrite-from-index', '--overwrite-from-index-token', releaseToken(here)];

    // At once: the client itself waits 30 s before it asks again.
    test.concurrent.each(['add-bundles', 'remove-operators', 'add-deprecations'])(
      '%s ends well',
      async (command) => {
        const args: Record<string, string[]> = {
          'add-bundles': ['--bundle', newest('lighthouse'), '--build-tag', 'pubtools', ...token()],
          'remove-operators': ['--operator', 'harbor-pilot'],
          'add-deprecations': ['--operator-package', 'lighthouse', '--deprecation-schema', schema],
        };
        const { code, stderr } = await run(command, '--index-image', index(), ...(args[command] ?? []));
        // The command hands what it was given to sys.exit(), which counts as 1 however well all went.
        expect(code).toBe(1);
        expect(stderr).toContain('IIB build finished');
        expect(stderr).not.toMatch(/failed|Traceback/i);
      },
      120_000,
    );

    test.concurrent('a failed build is told with its reason and where its log is', async () => {
      const { code, stderr } = await run('add-bundles', '--index-image', noSuch(), '--bundle', newest('lighthouse'));
      expect(code).toBe(1);
      expect(stderr).toContain(`IIB Failed with the error: 'Failed to inspect docker://${noSuch()}`);
      expect(stderr).toMatch(/Please check the full logs at https:\/\/localhost:\d+\/api\/v1\/builds\/\d+\/logs/);
    }, 120_000);
  });
});

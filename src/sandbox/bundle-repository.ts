import { loadConfig } from '../config/load.ts';
import { Failure } from '../errors/failure.ts';
import { prepareRepository } from '../onboarding/prepare.ts';
import type { Layout } from './layout.ts';
import { preparationIn } from './preparation.ts';
import { BUNDLE_PROJECT } from './service-files.ts';

/** Makes the repository in which bundles are regenerated, as a team would set it up once. */
export async function makeBundleRepository(layout: Layout): Promise<void> {
  const { bundleRepository } = loadConfig(layout.path('config.yaml'));
  if (bundleRepository === undefined) throw new Failure('configuration_invalid', 'There is no bundleRepository');
  const { branch, proposal } = bundleRepository;
  const of = { project: BUNDLE_PROJECT, branch, builds: 'regenerate-bundle', proposal };
  await prepareRepository(preparationIn(layout, { kind: 'bundle', ...of }), () => {});
}

import { asFailure, Failure } from '../../errors/failure.ts';
import { createDigestCache } from '../../registry/digest-cache.ts';
import { sideBySide } from '../side-by-side.ts';
import type { Reading } from '../work.ts';
import { fitsVersion, OCP_VERSIONS_LABEL, type OcpVersion } from './ocp-versions.ts';

/** Bytes; some 40,000 bundles. Labels behind a digest never change; access to the image is checked before each look. */
const versionLabels = createDigestCache<string>(8 * 1024 * 1024);

/**
 * Makes sure that every bundle is in its registry: one HEAD for each, with the service's credentials.
 *
 * @throws Failure of the registry client, `Error validating bundle {path}: …`, for one that is not there
 */
export async function assertBundlesExist(paths: readonly string[], { serviceRegistry }: Reading): Promise<void> {
  await sideBySide(paths, async (path) => {
    try {
      await serviceRegistry.resolve(path);
    } catch (thrown) {
      const { code, message } = asFailure(thrown);
      throw new Failure(code, `Error validating bundle ${path}: ${message}`, { cause: thrown });
    }
  });
}

/**
 * The bundles that are not for an index of this version, in their order (request-handling.md §10.10, step 4).
 *
 * @param paths by digest, already found by {@link assertBundlesExist}
 * @param without what to think of a bundle without label
 * @throws Failure of the registry client
 */
export async function unfitBundles(
  paths: readonly string[],
  version: OcpVersion,
  without: 'fits' | 'does not fit',
  { serviceRegistry, log }: Reading,
): Promise<string[]> {
  const labels = await sideBySide(paths, async (path) => {
    const known = versionLabels.get(path);
    if (known !== undefined) return known;
    const label = (await serviceRegistry.labels(path))[OCP_VERSIONS_LABEL] ?? '';
    versionLabels.put(path, label, path.length + label.length);
    return label;
  });
  return paths.filter((path, at) => {
    const label = labels[at] ?? '';
    if (label === '' && without === 'fits') return false;
    const fits = fitsVersion(label, version);
    if (fits === undefined) log.warn({ bundle: path, label }, `the label ${OCP_VERSIONS_LABEL} cannot be understood`);
    return fits !== true;
  });
}

import { basename } from 'node:path';
import type { RegistryConfig } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { createBlobStore } from './blob-store.ts';
import type { RegistryClient } from './client.ts';
import { identifyFile } from './digest.ts';
import { type Descriptor, EMPTY_CONFIG, EMPTY_CONFIG_BYTES, type Manifest, MEDIA } from './manifest.ts';
import { nameOf, parsePullSpec, printPullSpec } from './pull-spec.ts';

const ARTIFACT_TYPE = 'application/vnd.sqlite';
const FILE_NAME = 'index.db';
const TITLE = 'org.opencontainers.image.title';

/** Which of the artifacts that belong to an index: the one all requests share, one request's own, or the empty database. */
export type ArtifactKind = 'shared' | 'empty' | { requestId: number };

type Naming = Pick<RegistryConfig, 'artifactRegistry' | 'artifactTemplate' | 'artifactTagTemplate' | 'emptyTag'>;

/**
 * The pull spec of an index's index.db artifact (request-handling.md §8). Templates know `{registry}`, `{tag}`,
 * `{image_name}` and `{namespace}`, in which slashes become dashes.
 *
 * @param index the index as the request names it, by tag
 * @throws Failure `index_tag_missing` when it has none, `pull_spec_invalid`, `configuration_invalid` for a template
 */
export function artifactTagFor(config: Naming, index: string, kind: ArtifactKind = 'shared'): string {
  const { image, tag } = imageAndTag(index);
  const namespace = parsePullSpec(index).repository.split('/').slice(0, -1).join('-');
  const names = { registry: config.artifactRegistry, image_name: image, namespace };
  const combined = fill(config.artifactTagTemplate, { ...names, tag: kind === 'empty' ? config.emptyTag : tag });
  const own = typeof kind === 'object' ? `${combined}-${kind.requestId}` : combined;
  return printPullSpec(parsePullSpec(fill(config.artifactTemplate, { ...names, tag: own })));
}

/**
 * Groups of indexes that would overwrite each other's index.db under this configuration (request-handling.md §18, H16).
 *
 * @param indexes names without tag
 */
export function artifactClashes(config: Naming, indexes: readonly string[]): string[][] {
  const groups = Map.groupBy(new Set(indexes), (index) => artifactTagFor(config, `${index}:v1`));
  return [...groups.values()].filter((group) => group.length > 1);
}

export interface Artifacts {
  push(
    client: RegistryClient,
    ref: string,
    content: { file: string; annotations: Record<string, string> },
  ): Promise<string>;
  pull(client: RegistryClient, ref: string): Promise<{ digest: string; path: string }>;
}

/**
 * Stores and gets index.db artifacts (request-handling.md §8).
 *
 * - `push` streams the file to the registry and gives the artifact's digest; empty annotations are left out. The same
 *   file with the same annotations is the same digest, so it may be repeated.
 * - `pull` gives the artifact's digest and the path of its index.db in the cache: for reading only, for a copy of one's
 *   own see {@link copyOut}. Content that is in the cache is not fetched again. Failure `index_db_invalid` when there is
 *   no index.db in it.
 *
 * Both throw the registry client's failures, with the artifact named in front.
 *
 * @param cacheDir of this service alone; it may be emptied at any time
 * @param cacheLimit bytes kept in it
 */
export function createArtifacts({ cacheDir, cacheLimit }: { cacheDir: string; cacheLimit?: number }): Artifacts {
  const store = createBlobStore(cacheDir, cacheLimit);
  return { push, pull };

  async function push(
    client: RegistryClient,
    ref: string,
    { file, annotations }: { file: string; annotations: Record<string, string> },
  ): Promise<string> {
    const content = await identifyFile(file);
    const manifest = {
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      artifactType: ARTIFACT_TYPE,
      config: EMPTY_CONFIG,
      layers: [{ mediaType: ARTIFACT_TYPE, ...content, annotations: { [TITLE]: FILE_NAME } }],
      annotations: Object.fromEntries(Object.entries(annotations).filter(([, value]) => value !== '')),
    };
    const { tag = 'latest' } = parsePullSpec(ref);
    return naming(`Failed to push OCI artifact to ${ref}`, async () => {
      await client.uploadBlob(nameOf(ref), { ...content, path: file });
      await client.uploadBlob(nameOf(ref), { ...EMPTY_CONFIG, bytes: EMPTY_CONFIG_BYTES });
      return client.putManifest(nameOf(ref), tag, MEDIA.ociManifest, Buffer.from(JSON.stringify(manifest)));
    });
  }

  async function pull(client: RegistryClient, ref: string): Promise<{ digest: string; path: string }> {
    return naming(`Failed to pull OCI artifact ${ref}`, async () => {
      const manifest = await client.manifest(ref);
      const layer = databaseLayer(manifest, ref);
      return { digest: manifest.digest, path: await store.get(layer, () => client.blob(nameOf(ref), layer)) };
    });
  }
}

/** The layer whose title says it is the database, in today's form and in the older one (feasibility: registry). */
function databaseLayer({ document }: Manifest, ref: string): Descriptor {
  const layers = document.kind === 'image' ? document.layers : [];
  const layer = layers.find(({ annotations }) => basename(annotations?.[TITLE] ?? '') === FILE_NAME);
  if (layer === undefined) throw new Failure('index_db_invalid', `Index.db file not found at ${ref}`);
  return layer;
}

async function naming<T>(sentence: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (!(thrown instanceof Failure) || thrown.code === 'index_db_invalid') throw thrown;
    const reason = thrown.code === 'image_not_found' ? 'it does not exist' : thrown.message;
    throw new Failure(thrown.code, `${sentence}: ${reason}`, { cause: thrown, retryAfter: thrown.retryAfter });
  }
}

function imageAndTag(index: string): { image: string; tag: string } {
  const [named = '', digest] = index.split('@');
  const [image = '', tag, more] = (named.split('/').at(-1) ?? '').split(':');
  const refused = (code: 'index_tag_missing' | 'pull_spec_invalid', reason: string) =>
    new Failure(code, `Invalid pullspec format: '${index}'. ${reason}`);
  if (tag === undefined && digest !== undefined) {
    throw refused('index_tag_missing', 'An index given by digest alone has no tag to name its database by.');
  }
  if (!named.includes(':')) throw refused('index_tag_missing', "Missing tag (':') delimiter.");
  if (tag === undefined || image === '' || more !== undefined) {
    throw refused('pull_spec_invalid', 'Could not parse name:tag structure.');
  }
  if (tag === '') throw refused('pull_spec_invalid', 'Tag is present but empty.');
  return { image, tag };
}

function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value !== undefined) return value;
    throw new Failure('configuration_invalid', `The artifact template '${template}' has the unknown name '${name}'`);
  });
}

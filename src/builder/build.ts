import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import type { CredentialStore } from '../registry/auth.ts';
import { createRegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import { readBases } from './base.ts';
import { type Containerfile, parseContainerfile } from './containerfile.ts';
import { type Additions, assembleImage, assembleList, CONFIGS_LABEL } from './image.ts';
import { type Layer, makeLayer, normaliseModes } from './layer.ts';
import { type BuildMetadata, readMetadata } from './metadata.ts';
import { findOpm, makeCache, type Opm, validateCatalog } from './opm.ts';
import { pushImages } from './push.ts';

export interface BuildOptions {
  /** Checkout of the catalog repository; modes below its `configs` are normalised in place. */
  context: string;
  /** `registry/repository:tag` to push to. */
  image: string;
  /** Commit that is built; a second tag. */
  commit: string;
  /** Directory the results are written into: IMAGE_URL, IMAGE_DIGEST, IMAGE_REF. */
  resultDir: string;
  /** Relative to the context. */
  metadata?: string;
  dockerfile?: string;
  /** Directory of executables named `opm-vX.Y.Z`. */
  opmDir: string;
  auth: CredentialStore;
  /** Registries (host:port) spoken to over plain HTTP. */
  insecure: readonly string[];
  /** The image's date; 1970 unless given, because equal content is to give equal digests. */
  created?: Date;
  /** Told of each step. */
  report?: (line: string) => void;
  signal?: AbortSignal;
}

export interface BuiltIndex {
  /** `name:tag` */
  url: string;
  digest: string;
  /** `name:tag@digest` */
  ref: string;
}

/** Milliseconds. */
const OPM_TIMEOUT = 30 * 60_000;
const CALL_TIMEOUT = 60_000;
const PATIENCE = { total: 5 * 60_000, first: 1000, longest: 30_000 };

/**
 * Builds a catalog image for all architectures of its metadata by registry calls, and pushes it as a v2s2 manifest list
 * under its tag and under the commit (konflux-and-gitlab.md §3.1, real-cluster.md §7).
 *
 * @throws Failure `request_invalid` (metadata, Dockerfile, image name), `opm_missing`, `catalog_directory_missing`,
 *   `catalog_invalid`, `opm_refused`, `arches_unavailable`, `image_unreadable`, and what the registry client throws
 */
export async function buildIndex(options: BuildOptions): Promise<BuiltIndex> {
  const { context, signal, report = () => {} } = options;
  const { repository, tag } = target(options);
  const configs = join(context, 'configs');
  const metadata = await readMetadata(
    join(context, options.metadata ?? '.iib-build-metadata.json'),
    options.metadata ?? '.iib-build-metadata.json',
  );
  const opm = await findOpm(options.opmDir, metadata.opm_version);
  if (!(await stat(configs).catch(() => undefined))?.isDirectory()) {
    throw new Failure('catalog_directory_missing', 'There is no configs directory in the build context');
  }
  const file = await readContainerfile(context, options.dockerfile ?? 'Dockerfile', metadata);
  const client = createRegistryClient({
    auth: options.auth,
    insecure: options.insecure,
    callTimeout: CALL_TIMEOUT,
    ...(signal ? { signal } : {}),
  });
  const patient = <T>(work: () => Promise<T>) =>
    patiently(PATIENCE, signal ?? new AbortController().signal, work, (failure, wait) =>
      report(`${failure.message}; again in ${wait / 1000} s`),
    );

  report(`Reading ${file.base} for ${metadata.arches.join(', ')}`);
  const bases = await patient(() => readBases(client, file.base, metadata.arches));
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-build-'));
  try {
    report(`Validating configs and making the cache with opm ${opm.version}`);
    await normaliseModes(configs);
    await validateCatalog(opm, configs, OPM_TIMEOUT);
    const copies = await makeLayers(file, opm, configs, scratch);
    const additions: Additions = {
      copies,
      labels: { ...file.labels, [CONFIGS_LABEL]: catalogTarget(file), ...metadata.labels },
      command: commandOf(file),
      created: (options.created ?? new Date(0)).toISOString(),
    };
    const images = bases.map((base) => assembleImage(base, additions));
    const list = assembleList(images);
    report(`Pushing ${repository}:${tag}`);
    const layers = copies.map(({ layer }) => layer);
    const tags = [tag, options.commit];
    await patient(() => pushImages(client, { repository, tags, bases, layers, images, list, scratch }));
    const built = { url: `${repository}:${tag}`, digest: list.digest, ref: `${repository}:${tag}@${list.digest}` };
    await writeResults(options.resultDir, built);
    report(`Built ${built.ref}`);
    return built;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function target({ image, commit }: BuildOptions): { repository: string; tag: string } {
  const { tag, digest } = parsePullSpec(image);
  if (tag === undefined || digest !== undefined) {
    throw new Failure('request_invalid', `The image to push must be named by a tag: ${image}`);
  }
  if (!/^[0-9a-f]{7,64}$/.test(commit)) throw new Failure('request_invalid', `"${commit}" is not a commit`);
  return { repository: nameOf(image), tag };
}

async function readContainerfile(context: string, name: string, metadata: BuildMetadata): Promise<Containerfile> {
  let text: string;
  try {
    text = await readFile(join(context, name), 'utf8');
  } catch (cause) {
    throw new Failure('request_invalid', `There is no ${name} in the build context`, { cause });
  }
  return parseContainerfile(text, metadata.binary_image === undefined ? {} : { BINARY_IMAGE: metadata.binary_image });
}

/** One layer per copy, for all architectures: neither the catalog nor opm's cache depends on them. */
async function makeLayers(
  file: Containerfile,
  opm: Opm,
  configs: string,
  scratch: string,
): Promise<Additions['copies']> {
  const made: { text: string; layer: Layer }[] = [];
  for (const [index, copy] of file.copies.entries()) {
    const from = copy.source === 'configs' ? configs : await makeCache(opm, configs, scratch, OPM_TIMEOUT);
    const layer = await makeLayer(
      { from, target: copy.target, uid: copy.uid, gid: copy.gid },
      join(scratch, `layer-${index}.tar.gz`),
    );
    made.push({ text: copy.text, layer });
  }
  return made;
}

function catalogTarget(file: Containerfile): string {
  return file.copies.find(({ source }) => source === 'configs')?.target ?? '/configs';
}

/** An image from scratch holds a catalog and nothing that could serve it. A new entrypoint drops the base's command. */
function commandOf({ base, entrypoint, cmd }: Containerfile): Additions['command'] {
  if (base === 'scratch') return {};
  if (entrypoint === undefined && cmd === undefined) return 'base';
  return { ...(entrypoint === undefined ? {} : { entrypoint }), ...(cmd === undefined ? {} : { cmd }) };
}

async function writeResults(dir: string, { url, digest, ref }: BuiltIndex): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'IMAGE_URL'), url);
  await writeFile(join(dir, 'IMAGE_DIGEST'), digest);
  await writeFile(join(dir, 'IMAGE_REF'), ref);
}

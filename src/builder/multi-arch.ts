import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { patiently } from '../errors/retry.ts';
import type { CredentialStore } from '../registry/auth.ts';
import { createRegistryClient } from '../registry/client.ts';
import { nameOf, parsePullSpec } from '../registry/pull-spec.ts';
import { readBases } from './base.ts';
import { type Containerfile, type Kind, parseContainerfile } from './containerfile.ts';
import { type Additions, assembleImage, assembleList } from './image.ts';
import { makeLayer } from './layer.ts';
import { pushImages } from './push.ts';

export interface BuildOptions {
  /** Checkout of the repository; modes below the directories that are copied are normalised in place. */
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
  auth: CredentialStore;
  /** Registries (host:port) spoken to over plain HTTP. */
  insecure: readonly string[];
  /** The image's date: the time of the commit, so that a commit always gives the same digest, and dates are true. */
  created: Date;
  /** Told of each step. */
  report?: (line: string) => void;
  signal?: AbortSignal;
}

export interface BuiltImage {
  /** `name:tag` */
  url: string;
  digest: string;
  /** `name:tag@digest` */
  ref: string;
}

/** What is put on the base image. */
export interface Content {
  file: Containerfile;
  arches: readonly string[];
  labels: Record<string, string>;
  command: Additions['command'];
  labelsOfDate: Additions['labelsOfDate'];
  /** Done once the base is known to be there. */
  prepare(): Promise<void>;
  /** Where a directory that the Dockerfile copies is. */
  directory(source: string, scratch: string): Promise<string>;
}

/** Milliseconds. */
const CALL_TIMEOUT = 60_000;
const PATIENCE = { total: 5 * 60_000, first: 1000, longest: 30_000 };

/**
 * Builds an image for all its architectures by registry calls, and pushes it as a v2s2 manifest list under its tag and
 * under the commit (konflux-and-gitlab.md §3.1, real-cluster.md §7). The copied directories are the same for all.
 *
 * @throws Failure `request_invalid` (image name, commit), `arches_unavailable`, `image_unreadable`, and what the
 *   registry client throws
 */
export async function buildImage(options: BuildOptions, content: Content): Promise<BuiltImage> {
  const { signal, report = () => {} } = options;
  const { repository, tag } = target(options);
  const { file, arches } = content;
  const client = createRegistryClient({
    auth: options.auth,
    insecure: options.insecure,
    // Base and target are named by the pipeline's definition.
    rules: { trusted: 'all' },
    callTimeout: CALL_TIMEOUT,
    ...(signal ? { signal } : {}),
  });
  const patient = <T>(work: () => Promise<T>) =>
    patiently(PATIENCE, signal ?? new AbortController().signal, work, (failure, wait) =>
      report(`${failure.message}; again in ${wait / 1000} s`),
    );

  report(`Reading ${file.base} for ${arches.join(', ')}`);
  const bases = await patient(() => readBases(client, file.base, arches));
  const scratch = await mkdtemp(join(tmpdir(), 'indexwright-build-'));
  try {
    await content.prepare();
    const copies = await makeLayers(content, scratch);
    const additions: Additions = {
      copies,
      labels: content.labels,
      command: content.command,
      created: options.created.toISOString(),
      labelsOfDate: content.labelsOfDate,
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

/** The Dockerfile of the build context. @throws Failure `request_invalid` */
export async function readContainerfile(
  { context, dockerfile = 'Dockerfile' }: BuildOptions,
  args: Record<string, string>,
  kind: Kind,
): Promise<Containerfile> {
  let text: string;
  try {
    text = await readFile(join(context, dockerfile), 'utf8');
  } catch (cause) {
    throw new Failure('request_invalid', `There is no ${dockerfile} in the build context`, { cause });
  }
  return parseContainerfile(text, args, kind);
}

function target({ image, commit }: BuildOptions): { repository: string; tag: string } {
  const { tag, digest } = parsePullSpec(image);
  if (tag === undefined || digest !== undefined) {
    throw new Failure('request_invalid', `The image to push must be named by a tag: ${image}`);
  }
  if (!/^[0-9a-f]{7,64}$/.test(commit)) throw new Failure('request_invalid', `"${commit}" is not a commit`);
  return { repository: nameOf(image), tag };
}

/** One layer per copy, for all architectures. */
async function makeLayers({ file, directory }: Content, scratch: string): Promise<Additions['copies']> {
  const made = [];
  for (const [index, { source, target, uid, gid, text }] of file.copies.entries()) {
    const from = await directory(source, scratch);
    const layer = await makeLayer({ from, target, uid, gid }, join(scratch, `layer-${index}.tar.gz`));
    made.push({ text, layer });
  }
  return made;
}

async function writeResults(dir: string, { url, digest, ref }: BuiltImage): Promise<void> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, 'IMAGE_URL'), url);
  await writeFile(join(dir, 'IMAGE_DIGEST'), digest);
  await writeFile(join(dir, 'IMAGE_REF'), ref);
}

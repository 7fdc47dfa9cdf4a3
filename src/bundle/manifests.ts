import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { objectOpmReads } from './opm-object.ts';
import { imagesOf, type NamedImage } from './related-images.ts';
import type { Substitution } from './substitutions.ts';
import { decodeUtf8, looksLikeJson, readYaml, type YamlDocument, YamlRefused } from './yaml.ts';

/** The ClusterServiceVersion of a bundle and its place in the update graph. */
export interface Csv extends Substitution {
  /** Name of the file in the manifests folder. */
  file: string;
}

const CsvDocument = z.looseObject({ kind: z.literal('ClusterServiceVersion') });
const Metadata = z.object({
  metadata: z.object({
    name: z.string().min(1),
    annotations: z
      .object({ 'olm.substitutesFor': z.string().optional().catch(undefined) })
      .optional()
      .catch(undefined),
  }),
});

/** Bytes; the largest manifest a cluster could store is far smaller. */
const LARGEST = 16 * 1024 * 1024;

/**
 * The ClusterServiceVersion opm takes from an unpacked bundle's manifests folder: the first by the names of the files that
 * lie in the folder itself, whatever their extension, of which it reads the first document alone. What cannot be read is
 * passed over, as opm does it with a warning; null when there is none with a name.
 *
 * @throws Failure `bundle_unsupported` when a file with one is larger than a cluster could store
 */
export async function readCsv(manifestsDir: string): Promise<Csv | null> {
  const found = await findCsv(manifestsDir);
  const parsed = Metadata.safeParse(found?.document);
  if (found === null || !parsed.success) return null;
  const { name, annotations } = parsed.data.metadata;
  return { file: found.file, name, substitutesFor: annotations?.['olm.substitutesFor'] || undefined };
}

/**
 * The images that the same ClusterServiceVersion names.
 *
 * @throws Failure `bundle_unsupported` as {@link imagesOf}
 */
export async function readCsvImages(manifestsDir: string): Promise<NamedImage[]> {
  const found = await findCsv(manifestsDir);
  return found === null ? [] : imagesOf(found.document);
}

async function findCsv(manifestsDir: string): Promise<{ file: string; document: unknown } | null> {
  const entries = await readdir(manifestsDir, { withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && !entry.name.startsWith('.')).map(({ name }) => name);
  for (const file of files.sort()) {
    const bytes = await readManifest(manifestsDir, file);
    const document = bytes === null ? null : objectOpmReads(bytes);
    if (CsvDocument.safeParse(document).success) return { file, document };
  }
  return null;
}

/** The bytes of a manifest that may hold a ClusterServiceVersion, null for others: parsing them would cost more than all else. */
async function readManifest(manifestsDir: string, file: string): Promise<Buffer | null> {
  const path = join(manifestsDir, file);
  if (!(await mayHoldCsv(path))) return null;
  const { size } = await stat(path);
  if (size <= LARGEST) return readFile(path);
  const message = `The manifest manifests/${file} has ${size} bytes, more than ${LARGEST}: make it smaller`;
  throw new Failure('bundle_unsupported', message);
}

const CSV = 'ClusterServiceVersion';

async function mayHoldCsv(path: string): Promise<boolean> {
  let end = '';
  for await (const part of createReadStream(path, { encoding: 'latin1', highWaterMark: 1024 * 1024 })) {
    if (`${end}${part}`.includes(CSV)) return true;
    end = (part as string).slice(-CSV.length);
  }
  return false;
}

/** A manifest file that may hold ClusterServiceVersions. */
export interface CsvFile {
  /** Path relative to the manifests folder. */
  file: string;
  text: string;
  documents: YamlDocument[];
}

/**
 * Every `*.yaml` and `*.yml` file below an unpacked bundle's manifests folder that may hold a ClusterServiceVersion, in
 * the order of their names, for callers that will rewrite them (request-handling.md §11.2). Links are not followed.
 * Other manifests are not looked at: they are opm's business.
 *
 * @throws Failure `bundle_unsupported` when such a file is too large, no valid YAML or has a key twice
 */
export async function readCsvFiles(manifestsDir: string): Promise<CsvFile[]> {
  const files: CsvFile[] = [];
  for (const file of await manifestFiles(manifestsDir)) {
    const bytes = await readManifest(manifestsDir, file);
    if (bytes === null) continue;
    try {
      const text = decodeUtf8(bytes);
      files.push({
        file,
        text,
        documents: readYaml(text, { escapes: looksLikeJson(text) ? 'json' : 'yaml' }),
      });
    } catch (cause) {
      if (!(cause instanceof YamlRefused)) throw cause;
      throw invalid(`manifests/${file}, ${cause.message}`, cause);
    }
  }
  return files;
}

async function manifestFiles(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && /\.ya?ml$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length).replace(/^\/+/, ''))
    .sort();
}

function invalid(reason: string, cause?: unknown): Failure {
  const message = `The Operator Manifest is not in a valid YAML format: ${reason}`;
  return new Failure('bundle_unsupported', message, { cause });
}

import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { readYaml, type YamlDocument, type YamlOptions, YamlRefused } from './yaml.ts';

/** What a ClusterServiceVersion says about its place in the update graph. */
export interface CsvSummary {
  name: string;
  version: string | undefined;
  replaces: string | undefined;
  skips: string[];
  skipRange: string | undefined;
  substitutesFor: string | undefined;
}

/** A ClusterServiceVersion found below `manifests/`. */
export interface Csv extends CsvSummary {
  /** Path relative to the manifests folder. */
  file: string;
  document: unknown;
}

const Text = z.string().optional().catch(undefined);
const CsvDocument = z.object({
  kind: z.literal('ClusterServiceVersion'),
  metadata: z.object({
    name: z.string().min(1),
    annotations: z.record(z.string(), z.unknown()).optional().catch(undefined),
  }),
  spec: z
    .object({ version: Text, replaces: Text, skips: z.array(z.string()).nullish().catch(undefined) })
    .optional()
    .catch(undefined),
});

/** Bytes; the largest manifest a cluster could store is far smaller. */
const LARGEST = 16 * 1024 * 1024;

/**
 * Reads every ClusterServiceVersion below an unpacked bundle's manifests folder, files in the order of their names.
 * Links are not followed. Other manifests are not looked at: they are opm's business.
 *
 * @param options `repeatedKeys: 'refuse'` for callers that will rewrite the file (request-handling.md §11.2)
 * @throws Failure `bundle_unsupported` when a file that holds one is too large or is no valid YAML
 */
export async function readCsvs(manifestsDir: string, options: YamlOptions = {}): Promise<Csv[]> {
  const files = await readCsvFiles(manifestsDir, options);
  return files.flatMap(({ file, documents }) =>
    documents.flatMap(({ value }) => {
      const parsed = CsvDocument.safeParse(value);
      return parsed.success ? [{ file, document: value, ...summaryOf(parsed.data) }] : [];
    }),
  );
}

/** A manifest file that may hold ClusterServiceVersions. */
export interface CsvFile {
  /** Path relative to the manifests folder. */
  file: string;
  text: string;
  documents: YamlDocument[];
}

/** The files {@link readCsvs} reads, with their text and nodes. Throws as it does. */
export async function readCsvFiles(manifestsDir: string, options: YamlOptions = {}): Promise<CsvFile[]> {
  const files: CsvFile[] = [];
  for (const file of await manifestFiles(manifestsDir)) {
    const path = join(manifestsDir, file);
    if ((await stat(path)).size > LARGEST) {
      throw new Failure('bundle_unsupported', `The manifest ${file} is larger than ${LARGEST} bytes`);
    }
    const bytes = await readFile(path);
    const text = bytes.toString('utf8');
    if (!text.includes('ClusterServiceVersion')) continue;
    if (!Buffer.from(text).equals(bytes)) throw invalid('the text is not UTF-8');
    try {
      files.push({ file, text, documents: readYaml(text, options) });
    } catch (cause) {
      if (!(cause instanceof YamlRefused)) throw cause;
      throw invalid(cause.message, cause);
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

function summaryOf({ metadata, spec }: z.infer<typeof CsvDocument>): CsvSummary {
  const annotation = (key: string) => {
    const value = metadata.annotations?.[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  return {
    name: metadata.name,
    version: spec?.version,
    replaces: spec?.replaces || undefined,
    skips: spec?.skips ?? [],
    skipRange: annotation('olm.skipRange'),
    substitutesFor: annotation('olm.substitutesFor'),
  };
}

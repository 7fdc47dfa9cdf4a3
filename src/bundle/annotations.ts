import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { PACKAGE_LABEL } from './labels.ts';
import { decodeUtf8, parseYaml, YamlRefused } from './yaml.ts';
import { openYaml, setYaml } from './yaml-edit.ts';

/** Where annotations are in an unpacked bundle. */
export const ANNOTATIONS_FILE = join('metadata', 'annotations.yaml');

/** Bytes; real ones have a thousand. */
const LARGEST = 1024 * 1024;

const Annotations = z.looseObject({ annotations: z.record(z.string(), z.unknown()).nullish() });

/**
 * `metadata/annotations.yaml` of an unpacked bundle: its annotations and its package (request-handling.md §11.3).
 *
 * @param bundleDir folder that holds `metadata/`
 * @throws Failure `bundle_unsupported` when the file is absent, is no YAML mapping or names no package
 */
export async function readAnnotations(
  bundleDir: string,
): Promise<{ package: string; annotations: Record<string, unknown> }> {
  const bytes = await readFile(join(bundleDir, ANNOTATIONS_FILE)).catch((cause: unknown) => {
    throw unsupported('metadata/annotations.yaml does not exist in the bundle', cause);
  });
  if (bytes.length > LARGEST) throw unsupported(`metadata/annotations.yaml is larger than ${LARGEST} bytes`);
  let documents: unknown[];
  try {
    documents = parseYaml(decodeUtf8(bytes));
  } catch (cause) {
    if (!(cause instanceof YamlRefused)) throw cause;
    throw unsupported(`metadata/annotations.yaml is not valid YAML: ${cause.message}`, cause);
  }
  const parsed = Annotations.safeParse(documents[0]);
  if (!parsed.success) throw unsupported('The value of metadata/annotations.yaml must be a dictionary', parsed.error);
  const annotations = parsed.data.annotations ?? {};
  const name = annotations[PACKAGE_LABEL];
  if (name === undefined || name === null || name === '') {
    throw unsupported(`${PACKAGE_LABEL} is not set in metadata/annotations.yaml`);
  }
  if (typeof name !== 'string') {
    throw unsupported(`The value of ${PACKAGE_LABEL} in metadata/annotations.yaml is not a string`);
  }
  return { package: name, annotations };
}

/** Gives the package another name in `metadata/annotations.yaml`, which {@link readAnnotations} could read. */
export async function renamePackage(bundleDir: string, name: string): Promise<void> {
  const path = join(bundleDir, ANNOTATIONS_FILE);
  const yaml = openYaml(decodeUtf8(await readFile(path)));
  const document = yaml.documents.findIndex(({ value }) => value !== null);
  const changed = setYaml(yaml, { document, path: ['annotations', PACKAGE_LABEL], value: name });
  await writeFile(path, changed.text);
}

function unsupported(message: string, cause?: unknown): Failure {
  return new Failure('bundle_unsupported', message, { cause });
}

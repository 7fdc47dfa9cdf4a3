import { Failure } from '../errors/failure.ts';
import { parseImageName, printImageName } from './image-name.ts';
import { readCsvFiles } from './manifests.ts';
import { type Place, placesOf } from './related-images.ts';
import { type NewValue, openYaml, type Splice, setYaml, spliceYaml, type YamlText } from './yaml-edit.ts';
import type { Path } from './yaml-path.ts';

/** A file with ClusterServiceVersions. */
export interface CsvText {
  /** Path relative to the manifests folder. */
  file: string;
  text: string;
}

/**
 * All files below a manifests folder that may hold ClusterServiceVersions.
 *
 * @throws Failure `bundle_unsupported`: a file too large or no valid YAML
 */
export async function openCsvTexts(manifestsDir: string): Promise<CsvText[]> {
  return (await readCsvFiles(manifestsDir)).map(({ file, text }) => ({ file, text }));
}

/**
 * Every image that ClusterServiceVersions name, written out, each once, in document order.
 *
 * @throws Failure `bundle_unsupported`: a CSV of another shape
 */
export function imagesInTexts(texts: readonly CsvText[]): string[] {
  const all = texts.flatMap(({ text }) => csvsOf(openYaml(text)).flatMap(({ value }) => placesOf(value)));
  return [...new Set(all.map(({ image }) => printImageName(parseImageName(image))))];
}

/**
 * Replaces images everywhere; a CSV without related images gets them then.
 *
 * @param replacements old image and new image, both as {@link printImageName} writes them
 * @throws Failure `bundle_unsupported`
 */
export function replaceImagesInTexts(
  texts: readonly CsvText[],
  replacements: readonly (readonly [string, string])[],
): CsvText[] {
  const newOf = new Map(replacements);
  return texts.map((csv) =>
    edited(csv, (original) => {
      const splices = csvsOf(original).flatMap(({ document, value }) =>
        splicesFor(value, newOf).map((splice) => ({ document, ...splice })),
      );
      let yaml = splices.length > 0 ? spliceYaml(original, splices) : original;
      for (const { document, value } of csvsOf(yaml)) {
        if (hasRelatedImages(value)) continue;
        const images = relatedImagesOf(csv.file, placesOf(value));
        yaml = setYaml(yaml, { document, path: ['spec', 'relatedImages'], value: images });
      }
      return yaml;
    }),
  );
}

/** Sets annotations of each ClusterServiceVersion. @throws Failure `bundle_unsupported` */
export function annotateTexts(texts: readonly CsvText[], annotations: Readonly<Record<string, string>>): CsvText[] {
  return texts.map((csv) =>
    edited(csv, (original) => {
      let yaml = original;
      for (const { document } of csvsOf(original)) {
        for (const [key, value] of Object.entries(annotations)) {
          yaml = setYaml(yaml, { document, path: ['metadata', 'annotations', key], value });
        }
      }
      return yaml;
    }),
  );
}

function edited({ file, text }: CsvText, change: (yaml: YamlText) => YamlText): CsvText {
  try {
    return { file, text: change(openYaml(text)).text };
  } catch (cause) {
    if (cause instanceof Failure) throw cause;
    const message = `manifests/${file} cannot be changed: ${(cause as Error).message}`;
    throw new Failure('bundle_unsupported', message, { cause });
  }
}

function csvsOf({ documents }: YamlText) {
  return documents.flatMap(({ value }, document) => (isCsv(value) ? [{ document, value }] : []));
}

function isCsv(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'ClusterServiceVersion';
}

function hasRelatedImages(csv: unknown): boolean {
  const { spec } = csv as { spec?: { relatedImages?: unknown[] | null } | null };
  return (spec?.relatedImages ?? []).length > 0;
}

/** Every image once by its name; one name for two images is a mistake that only the bundle's author can mend. */
function relatedImagesOf(file: string, places: readonly Place[]): NewValue {
  const byName = new Map<string, Place>();
  const conflicts: string[] = [];
  for (const place of places) {
    const first = byName.get(place.name) ?? place;
    byName.set(place.name, first);
    if (first.image !== place.image) {
      conflicts.push(`${first.what}: ${first.image} X ${place.what}: ${place.image}`);
    }
  }
  if (conflicts.length > 0) {
    throw new Failure(
      'bundle_unsupported',
      `manifests/${file} - Found conflicts when setting relatedImages:\n${conflicts.join('\n')}`,
    );
  }
  return [...byName.values()].map(({ name, image }) => ({ name, image }));
}

function splicesFor(csv: unknown, replacements: ReadonlyMap<string, string>): Omit<Splice, 'document'>[] {
  const annotated = placesOf(csv).filter(({ kind }) => kind === 'annotation');
  const texts = [...scalarsOutsideAnnotations(csv, [])].map(({ path, text }) => ({ path, from: 0, image: text }));
  return [...texts, ...annotated].flatMap(({ path, from, image }) => {
    const old = printImageName(parseImageName(image));
    const text = replacements.get(old);
    return text === undefined || text === old ? [] : [{ path, from, to: from + image.length, text }];
  });
}

/** All strings but those of `metadata.annotations`. */
function* scalarsOutsideAnnotations(value: unknown, path: Path): Generator<{ path: Path; text: string }> {
  if (typeof value === 'string') yield { path, text: value };
  if (typeof value !== 'object' || value === null) return;
  const isList = Array.isArray(value);
  for (const [key, child] of Object.entries(value)) {
    if (path.at(-1) === 'metadata' && key === 'annotations') continue;
    yield* scalarsOutsideAnnotations(child, [...path, isList ? Number(key) : key]);
  }
}

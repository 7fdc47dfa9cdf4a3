import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { parseImageName, printImageName } from './image-name.ts';
import { readCsvFiles } from './manifests.ts';
import { type Place, placesOf } from './related-images.ts';
import { type NewValue, type Splice, setYaml, spliceYaml, type YamlText } from './yaml-edit.ts';
import type { Path } from './yaml-path.ts';

/** Old image → new image, both as {@link printImageName} writes them: a missing tag is `latest`. */
export type Replacements = ReadonlyMap<string, string>;

/** The ClusterServiceVersions of an unpacked bundle, in memory until they are saved (request-handling.md §11.2). */
export interface EditableCsvs {
  /** Every image they name, written out, each once, in document order. */
  images(): string[];
  /** Replaces images everywhere; a CSV without related images gets them then. @throws Failure `bundle_unsupported` */
  replaceImages(replacements: Replacements): void;
  /** Sets annotations of each. */
  annotate(annotations: Readonly<Record<string, string>>): void;
  /** Writes the files that changed and gives their names. */
  save(): Promise<string[]>;
}

/**
 * Reads all ClusterServiceVersions below a manifests folder: none, several, several in one file are all fine.
 *
 * @throws Failure `bundle_unsupported`: broken YAML, or a CSV of another shape
 */
export async function openCsvs(manifestsDir: string): Promise<EditableCsvs> {
  const read = await readCsvFiles(manifestsDir);
  const files = read.map(({ file, ...yaml }) => ({ file, original: yaml.text, yaml: yaml as YamlText }));
  type File = (typeof files)[number];

  const csvsOf = ({ yaml }: File) =>
    yaml.documents.flatMap(({ value }, document) => (isCsv(value) ? [{ document, value }] : []));

  function edit(file: File, change: (yaml: YamlText) => YamlText): void {
    try {
      file.yaml = change(file.yaml);
    } catch (cause) {
      throw new Failure('bundle_unsupported', `${file.file} cannot be changed: ${(cause as Error).message}`, { cause });
    }
  }

  function addRelatedImages(file: File, document: number): void {
    const value = relatedImagesOf(file.file, placesOf(file.yaml.documents[document]?.value));
    edit(file, (yaml) => setYaml(yaml, { document, path: ['spec', 'relatedImages'], value }));
  }

  return {
    images() {
      const all = files.flatMap((file) => csvsOf(file).flatMap(({ value }) => placesOf(value)));
      return [...new Set(all.map(({ image }) => printImageName(parseImageName(image))))];
    },

    replaceImages(replacements) {
      for (const file of files) {
        const splices = csvsOf(file).flatMap(({ document, value }) =>
          splicesFor(value, replacements).map((splice) => ({ document, ...splice })),
        );
        if (splices.length > 0) edit(file, (yaml) => spliceYaml(yaml, splices));
        for (const { document, value } of csvsOf(file)) if (!hasRelatedImages(value)) addRelatedImages(file, document);
      }
    },

    annotate(annotations) {
      for (const file of files) {
        for (const { document } of csvsOf(file)) {
          for (const [key, value] of Object.entries(annotations)) {
            edit(file, (yaml) => setYaml(yaml, { document, path: ['metadata', 'annotations', key], value }));
          }
        }
      }
    },

    async save() {
      const changed = files.filter(({ original, yaml }) => yaml.text !== original);
      for (const file of changed) {
        await writeFile(join(manifestsDir, file.file), file.yaml.text);
        file.original = file.yaml.text;
      }
      return changed.map(({ file }) => file);
    },
  };
}

function isCsv(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'ClusterServiceVersion';
}

function hasRelatedImages(csv: unknown): boolean {
  const { spec } = csv as { spec?: { relatedImages?: unknown[] | null } };
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
      `${file} - Found conflicts when setting relatedImages:\n${conflicts.join('\n')}`,
    );
  }
  return [...byName.values()].map(({ name, image }) => ({ name, image }));
}

function splicesFor(csv: unknown, replacements: Replacements): Omit<Splice, 'document'>[] {
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

import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CsvText } from './csv-texts.ts';
import { inThread } from './thread.ts';

/** Old image → new image, both as `printImageName` writes them: a missing tag is `latest`. */
export type Replacements = ReadonlyMap<string, string>;

/**
 * The ClusterServiceVersions of an unpacked bundle, in memory until they are saved (request-handling.md §11.2). They are
 * read and changed in another thread. Each method fails with `bundle_unsupported`.
 */
export interface EditableCsvs {
  /** Every image they name, written out, each once, in document order. */
  images(): Promise<string[]>;
  /** Replaces images everywhere; a CSV without related images gets them then. */
  replaceImages(replacements: Replacements): Promise<void>;
  /** Sets annotations of each. */
  annotate(annotations: Readonly<Record<string, string>>): Promise<void>;
  /** Writes the files that changed and gives their names. */
  save(): Promise<string[]>;
}

/**
 * Reads all ClusterServiceVersions below a manifests folder: none, several, several in one file are all fine.
 *
 * @throws Failure `bundle_unsupported`: broken YAML
 */
export async function openCsvs(manifestsDir: string): Promise<EditableCsvs> {
  let texts = await inThread('openCsvTexts', manifestsDir);
  const saved = new Map(texts.map(({ file, text }) => [file, text]));
  return {
    images: () => inThread('imagesInTexts', texts),

    async replaceImages(replacements) {
      texts = await inThread('replaceImagesInTexts', texts, [...replacements]);
    },

    async annotate(annotations) {
      texts = await inThread('annotateTexts', texts, annotations);
    },

    async save() {
      const changed = texts.filter(({ file, text }: CsvText) => saved.get(file) !== text);
      for (const { file, text } of changed) {
        await writeFile(join(manifestsDir, file), text);
        saved.set(file, text);
      }
      return changed.map(({ file }) => file);
    },
  };
}

import { readAnnotations, renamePackage } from './annotations.ts';
import { annotateTexts, imagesInTexts, openCsvTexts, replaceImagesInTexts } from './csv-texts.ts';
import { readCsv, readCsvImages } from './manifests.ts';

/** What is done in another thread: whatever reads a bundle's YAML. */
export const tasks = {
  readCsv,
  readCsvImages,
  readAnnotations,
  renamePackage,
  openCsvTexts,
  imagesInTexts,
  replaceImagesInTexts,
  annotateTexts,
};

export type Tasks = typeof tasks;

import { join } from 'node:path';
import pLimit from 'p-limit';
import type { Customization } from '../config/customizations.ts';
import { Failure } from '../errors/failure.ts';
import { type EditableCsvs, openCsvs } from './csv-edit.ts';
import { type ImageName, isPinned, parseImageName, printImageName, qualified } from './image-name.ts';
import { type Labels, PACKAGE_LABEL } from './labels.ts';
import { inThread } from './thread.ts';
import { parseYaml, YamlRefused } from './yaml.ts';

/** Says that all pull specs of a bundle were given their digests by us. */
export const PINNED_LABEL = 'com.redhat.iib.pinned';
const BUNDLE_LABEL = 'com.redhat.delivery.operator.bundle';

/** Characters of a label that says yes or no; what is longer says neither. */
const LONGEST_LABEL = 1000;

/** Registry calls at once. */
const READS = 16;

/** What is asked about images in registries. Fails as the registry client does. */
export interface ImageReader {
  /** `name@digest` */
  resolve(spec: string): Promise<string>;
  labels(spec: string): Promise<Labels>;
}

export interface Order {
  /** Folder with `manifests/` and `metadata/`, changed in place. */
  bundleDir: string;
  customizations: readonly Customization[];
  organization: string | null;
  /** Whether the bundle was pinned by us before. */
  pinned: boolean;
  /** Old bundle → new bundle. */
  replacements: Readonly<Record<string, string>>;
  images: ImageReader;
  /** Takes the bundles that the bundle relates to when that is asked for; in document order. */
  keepRelatedBundles?(bundles: string[]): Promise<void>;
}

interface Bench extends Order {
  csvs: EditableCsvs;
  packageName: string;
  /** For the new image. */
  labels: Record<string, string>;
}

/**
 * Makes an organization's changes to an unpacked bundle, in their order, each seeing what those before it did
 * (request-handling.md §11.3).
 *
 * @returns labels for the image, and the package name after the changes
 * @throws Failure `bundle_unsupported` with the sentences of that section, and what reading images throws
 */
export async function customize(order: Order): Promise<{ labels: Record<string, string>; packageName: string }> {
  const { package: packageName } = await inThread('readAnnotations', order.bundleDir);
  const csvs = await openCsvs(join(order.bundleDir, 'manifests'));
  const bench: Bench = { ...order, csvs, packageName, labels: {} };
  for (const customization of order.customizations) await apply(bench, customization);
  await csvs.save();
  return { labels: bench.labels, packageName: bench.packageName };
}

/** The images of a bundle that are bundles themselves, in document order. Fails as reading images does. */
export async function relatedBundles(csvs: Pick<EditableCsvs, 'images'>, images: ImageReader): Promise<string[]> {
  const specs = await csvs.images();
  const bundles = await each(specs, (spec) => isBundle(spec, images));
  return specs.filter((_, index) => bundles[index]);
}

async function apply(bench: Bench, customization: Customization): Promise<void> {
  const { csvs } = bench;
  switch (customization.type) {
    case 'resolve_image_pullspecs':
      return pin(bench);
    case 'related_bundles':
      return bench.keepRelatedBundles?.(await relatedBundles(csvs, bench.images));
    case 'perform_bundle_replacements':
      return replaceBundles(bench);
    case 'package_name_suffix':
      return suffixPackage(bench, customization.suffix);
    case 'registry_replacements': {
      const { replacements } = customization;
      return rename(csvs, (image) => {
        const { registry } = image;
        const known = registry !== undefined && Object.hasOwn(replacements, registry);
        return known ? { ...image, registry: replacements[registry] as string } : image;
      });
    }
    case 'image_name_from_labels':
      return nameFromLabels(bench, customization.template);
    case 'csv_annotations': {
      if (bench.organization === null) return;
      const filled = Object.entries(customization.annotations).map(([key, template]) => [
        key,
        template.replaceAll('{package_name}', () => bench.packageName),
      ]);
      return csvs.annotate(Object.fromEntries(filled));
    }
    case 'enclose_repo': {
      const { namespace, enclosure_glue: glue } = customization;
      return rename(csvs, (image) => {
        const outer = image.namespace === undefined || image.namespace === namespace ? [] : [image.namespace];
        return { ...image, namespace, repo: [...outer, ...image.repo.split('/')].join(glue) };
      });
    }
  }
}

/** Every pull spec must be there; those without a digest get theirs. A bundle we pinned before is left alone. */
async function pin({ csvs, images, labels, pinned }: Bench): Promise<void> {
  if (pinned) return;
  const specs = await csvs.images();
  const resolved = await each(specs, (spec) => images.resolve(qualified(spec)));
  const replacements = new Map<string, string>();
  for (const [index, spec] of specs.entries()) {
    const name = parseImageName(spec);
    const digest = parseImageName(resolved[index] ?? '').tag;
    if (!isPinned(name)) replacements.set(spec, printImageName({ ...name, tag: digest }));
  }
  if (replacements.size === 0) return;
  await csvs.replaceImages(replacements);
  labels[PINNED_LABEL] = 'true';
}

/** Pairs whose old image is no bundle are passed over; related images are set all the same. */
async function replaceBundles({ csvs, images, replacements }: Bench): Promise<void> {
  const pairs = Object.entries(replacements);
  if (pairs.length === 0) return;
  const bundles = await each(pairs, ([old]) => isBundle(old, images));
  const wanted = pairs.filter((_, index) => bundles[index]);
  const normal = (spec: string) => printImageName(parseImageName(spec));
  await csvs.replaceImages(new Map(wanted.map(([old, replacement]) => [normal(old), normal(replacement)])));
}

async function suffixPackage(bench: Bench, suffix: string): Promise<void> {
  if (!bench.packageName.endsWith(suffix)) {
    bench.packageName += suffix;
    await inThread('renamePackage', bench.bundleDir, bench.packageName);
  }
  bench.labels[PACKAGE_LABEL] = bench.packageName;
}

async function nameFromLabels({ csvs, images }: Bench, template: string): Promise<void> {
  const specs = await csvs.images();
  const labels = await each(specs, (spec) => images.labels(qualified(spec)));
  const names = new Map(specs.map((spec, index) => [spec, filled(template, spec, labels[index] ?? {})]));
  await rename(csvs, (image) => {
    const name = names.get(printImageName(image)) ?? image.repo;
    const slash = name.indexOf('/');
    if (slash >= 0) return { ...image, namespace: name.slice(0, slash), repo: name.slice(slash + 1) };
    const { namespace: _, ...bare } = image;
    return { ...bare, repo: name };
  });
}

function filled(template: string, spec: string, labels: Labels): string {
  return template.replace(/\{([^{}]+)\}/g, (_, label: string) => {
    const value = Object.hasOwn(labels, label) ? labels[label] : undefined;
    if (value !== undefined) return value;
    throw new Failure(
      'bundle_unsupported',
      `Pull spec ${spec} is missing one or more label(s) required in the image_name_from_labels ${template}. ` +
        `Available labels: ${Object.keys(labels).join(', ')}`,
    );
  });
}

/** Gives images new names; where none changes nothing is touched. */
async function rename(
  csvs: EditableCsvs,
  change: (image: ImageName) => Partial<ImageName> & Pick<ImageName, 'repo' | 'tag'>,
) {
  const replacements = new Map<string, string>();
  for (const spec of await csvs.images()) {
    const changed = printImageName(change(parseImageName(spec)));
    if (changed !== spec) replacements.set(spec, changed);
  }
  if (replacements.size > 0) await csvs.replaceImages(replacements);
}

async function isBundle(spec: string, images: ImageReader): Promise<boolean> {
  const label = (await images.labels(qualified(spec)))[BUNDLE_LABEL];
  return label !== undefined && isTrue(label);
}

/** Whether the text of a label is true as YAML: `true`, `yes`, `1`, any word; not `false`, `no`, `0` or nothing. */
export function isTrue(label: string): boolean {
  if (label.length > LONGEST_LABEL) return false;
  try {
    return Boolean(parseYaml(label)[0]);
  } catch (thrown) {
    if (thrown instanceof YamlRefused) return false;
    throw thrown;
  }
}

function each<Item, Result>(items: readonly Item[], work: (item: Item) => Promise<Result>): Promise<Result[]> {
  return pLimit(READS).map(items, work);
}

import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { parseImageName } from './image-name.ts';
import type { Path } from './yaml-path.ts';

/** A pull spec and the name it would have among `spec.relatedImages`. */
export interface NamedImage {
  name: string;
  image: string;
}

/** Where a pull spec stands in a ClusterServiceVersion. */
export interface Place extends NamedImage {
  /** For people: `container manager`, `RELATED_IMAGE_DB variable`, … */
  what: string;
  path: Path;
  /** Index in the text at `path`; 0 but for the annotations that are searched. */
  from: number;
  kind: 'field' | 'annotation';
}

const Container = z.looseObject({
  name: z.string().default(''),
  image: z.string().optional(),
  env: z
    .array(z.looseObject({ name: z.string(), value: z.unknown().optional(), valueFrom: z.unknown().optional() }))
    .nullish(),
});
type Container = z.infer<typeof Container>;
const Containers = z.array(Container).nullish();
const Pod = z.looseObject({ containers: Containers, initContainers: Containers });
const Deployment = z.looseObject({ spec: z.looseObject({ template: z.looseObject({ spec: Pod }) }) });
const RelatedImage = z.looseObject({ name: z.string().default(''), image: z.string().optional() });
const Document = z.looseObject({
  spec: z
    .looseObject({
      relatedImages: z.array(RelatedImage).nullish(),
      install: z.looseObject({ spec: z.looseObject({ deployments: z.array(Deployment).nullish() }) }).optional(),
    })
    .optional(),
});

const FIELD = { from: 0, kind: 'field' } as const;
const CONTAINER_IMAGE = 'containerImage';
const VARIABLE = 'RELATED_IMAGE_';

const WORD = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?';
/** A registry with a dot, any namespaces, a repository with tag or digest: without one of these it is too often no pull spec. */
const REFERENCE = new RegExp(
  `^(?=[^/]*\\.)${WORD}(?::\\d+)?/(?:${WORD}/)*${WORD}(?::${WORD}|@sha256:[a-fA-F0-9]{64})$`,
);

/**
 * Every place of a ClusterServiceVersion with a pull spec, named, in the order of request-handling.md §11.2: related
 * images, `containerImage` annotations, containers, init containers, `RELATED_IMAGE_*` variables, other annotations
 * from the last to the first. The same image may come up several times.
 *
 * @throws Failure `bundle_unsupported` when the document has another shape, or an image or variable no value of its own
 */
export function placesOf(csv: unknown): Place[] {
  const parsed = Document.safeParse(csv);
  if (!parsed.success) {
    throw unsupported('The ClusterServiceVersion has no valid structure', parsed.error);
  }
  const { spec } = parsed.data;
  const deployments = ['spec', 'install', 'spec', 'deployments'];
  const all = (kind: 'containers' | 'initContainers') =>
    (spec?.install?.spec.deployments ?? []).flatMap((deployment, at) => {
      const pod = deployment.spec.template.spec;
      return (pod[kind] ?? []).map((container, index) => ({
        container,
        path: [...deployments, at, 'spec', 'template', 'spec', kind, index],
      }));
    });
  const containers = all('containers');
  const initContainers = all('initContainers');
  const annotations = annotationsOf(csv, []);
  return [
    ...(spec?.relatedImages ?? []).map(relatedImage),
    ...annotations.filter(({ key }) => key === CONTAINER_IMAGE).map((found) => annotated(found, found.text, 0)),
    ...containers.flatMap(({ container, path }) => imageOfContainer(container, path, 'container')),
    ...initContainers.flatMap(({ container, path }) => imageOfContainer(container, path, 'init container')),
    ...[...containers, ...initContainers].flatMap(({ container, path }) => variables(container, path)),
    ...annotations
      .filter(({ key }) => key !== CONTAINER_IMAGE)
      .flatMap((found) => searched(found))
      .reverse(),
  ];
}

/** The same without the places. */
export function imagesOf(csv: unknown): NamedImage[] {
  return placesOf(csv).map(({ name, image }) => ({ name, image }));
}

/**
 * The pull spec with its registry replaced by the one configured for the user (request-handling.md §3.6): all
 * occurrences of the first path segment, when the map has it.
 */
export function replaceRegistry(image: string, replacements: Readonly<Record<string, string>>): string {
  const registry = image.split('/', 1)[0] ?? '';
  const replacement = Object.hasOwn(replacements, registry) ? replacements[registry] : undefined;
  return replacement === undefined ? image : image.replaceAll(registry, replacement);
}

function relatedImage({ name, image }: z.infer<typeof RelatedImage>, index: number): Place {
  if (image === undefined) throw unsupported(`The related image ${name || index} has no "image"`);
  return { name, image, what: `related image ${name}`, path: ['spec', 'relatedImages', index, 'image'], ...FIELD };
}

function imageOfContainer({ name, image }: Container, path: Path, kind: string): Place[] {
  return image === undefined ? [] : [{ name, image, what: `${kind} ${name}`, path: [...path, 'image'], ...FIELD }];
}

function variables({ env }: Container, path: Path): Place[] {
  return (env ?? []).flatMap(({ name, value, valueFrom }, index) => {
    if (!name.startsWith(VARIABLE)) return [];
    if (valueFrom !== undefined || typeof value !== 'string') {
      throw unsupported(`The variable ${name} must have a value; "valueFrom" is not supported`);
    }
    const what = `${name} variable`;
    const short = name.slice(VARIABLE.length).toLowerCase();
    return [{ name: short, image: value, what, path: [...path, 'env', index, 'value'], ...FIELD }];
  });
}

interface Annotation {
  key: string;
  text: string;
  path: Path;
}

/** All `metadata.annotations` of a document, nested ones too, but none inside other metadata. */
function annotationsOf(value: unknown, path: Path): Annotation[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => annotationsOf(item, [...path, index]));
  if (!isMapping(value)) return [];
  const { metadata } = value;
  const own = isMapping(metadata) && isMapping(metadata.annotations) ? Object.entries(metadata.annotations) : [];
  return [
    ...own.flatMap(([key, text]) =>
      typeof text === 'string' ? [{ key, text, path: [...path, 'metadata', 'annotations', key] }] : [],
    ),
    ...Object.entries(value).flatMap(([key, child]) =>
      key === 'metadata' ? [] : annotationsOf(child, [...path, key]),
    ),
  ];
}

function searched(annotation: Annotation): Place[] {
  return [...annotation.text.matchAll(/[A-Za-z0-9/\-._@:]+/g)].flatMap((run) => {
    const [before = ''] = /^[^A-Za-z0-9]*/.exec(run[0]) ?? [];
    const word = run[0].slice(before.length).replace(/[^A-Za-z0-9]+$/, '');
    return REFERENCE.test(word) ? [annotated(annotation, word, run.index + before.length)] : [];
  });
}

function annotated({ key, path }: Annotation, image: string, from: number): Place {
  const { repo, tag } = parseImageName(image);
  const name = `${repo}-${tag.replace(/^sha256:/, '')}-annotation`;
  return { name, image, what: `${key} annotation`, path, from, kind: 'annotation' };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unsupported(message: string, cause?: unknown): Failure {
  return new Failure('bundle_unsupported', message, { cause });
}

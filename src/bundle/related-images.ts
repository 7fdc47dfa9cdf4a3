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

// Go writes and reads null for what is absent, at every level.
const Variable = z
  .object({ name: z.string().nullish(), value: z.unknown(), valueFrom: z.unknown() })
  .partial()
  .nullable();
const Container = z
  .object({ name: z.string().nullish(), image: z.string().nullish(), env: z.array(Variable).nullish() })
  .nullable();
type Container = z.infer<typeof Container>;
const Containers = z.array(Container).nullish();
const Pod = z.object({ containers: Containers, initContainers: Containers });
const Template = z.object({ spec: Pod.nullish() });
const Deployment = z.object({ spec: z.object({ template: Template.nullish() }).nullish() }).nullable();
const Install = z.object({ spec: z.object({ deployments: z.array(Deployment).nullish() }).nullish() });
const RelatedImage = z.object({ name: z.string().nullish(), image: z.string().nullish() }).nullable();
const Spec = z.object({ relatedImages: z.array(RelatedImage).nullish(), install: Install.nullish() });
const Document = z.object({ spec: Spec.nullish() });

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
 * from the last to the first. The same image may come up several times; an empty text names none.
 *
 * @throws Failure `bundle_unsupported` when the document has another shape, or an image or variable no value of its own
 */
export function placesOf(csv: unknown): Place[] {
  const parsed = Document.safeParse(csv);
  if (!parsed.success) {
    const at = parsed.error.issues[0]?.path.join('.');
    throw unsupported(`The ClusterServiceVersion has no valid structure at ${at || 'its root'}`, parsed.error);
  }
  const { spec } = parsed.data;
  const deployments = ['spec', 'install', 'spec', 'deployments'];
  const all = (kind: 'containers' | 'initContainers') =>
    (spec?.install?.spec?.deployments ?? []).flatMap((deployment, at) => {
      const pod = deployment?.spec?.template?.spec;
      return (pod?.[kind] ?? []).map((container, index) => ({
        container,
        path: [...deployments, at, 'spec', 'template', 'spec', kind, index],
      }));
    });
  const containers = all('containers');
  const initContainers = all('initContainers');
  const annotations = annotationsOf(csv, []);
  const places = [
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
  return places.filter(({ image }) => image !== '');
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

function relatedImage(related: z.infer<typeof RelatedImage>, index: number): Place {
  const [name, image] = [related?.name ?? '', related?.image ?? undefined];
  if (image === undefined) throw unsupported(`The related image ${name || index} has no "image"`);
  return { name, image, what: `related image ${name}`, path: ['spec', 'relatedImages', index, 'image'], ...FIELD };
}

function imageOfContainer(container: Container, path: Path, kind: string): Place[] {
  const [name, image] = [container?.name ?? '', container?.image ?? ''];
  return image === '' ? [] : [{ name, image, what: `${kind} ${name}`, path: [...path, 'image'], ...FIELD }];
}

function variables(container: Container, path: Path): Place[] {
  return (container?.env ?? []).flatMap((variable, index) => {
    const name = variable?.name ?? '';
    if (!name.startsWith(VARIABLE)) return [];
    const value = variable?.value ?? '';
    if ((variable?.valueFrom ?? null) !== null || typeof value !== 'string') {
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

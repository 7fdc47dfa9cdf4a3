import { z } from 'zod';
import { Failure } from '../errors/failure.ts';

/** A pull spec and the name it would have among `spec.relatedImages`. */
export interface NamedImage {
  name: string;
  image: string;
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
const Document = z.looseObject({
  spec: z
    .looseObject({
      relatedImages: z.array(z.looseObject({ name: z.string().default(''), image: z.string() })).nullish(),
      install: z.looseObject({ spec: z.looseObject({ deployments: z.array(Deployment).nullish() }) }).optional(),
    })
    .optional(),
});

const REFERENCE =
  /^[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?::\d+)?\/(?:[\w.-]+\/)*[\w.-]+(?:@sha256:[0-9a-f]{64}|:\w[\w.-]{0,127})$/;

/**
 * Every pull spec of a ClusterServiceVersion, named, in the order of request-handling.md §11.2: related images,
 * `containerImage` annotations, containers, init containers, `RELATED_IMAGE_*` variables, other annotations.
 * The same image may come up several times.
 *
 * @throws Failure `bundle_unsupported` when the document has another shape or a `RELATED_IMAGE_*` variable has no value
 *   of its own
 */
export function imagesOf(csv: unknown): NamedImage[] {
  const parsed = Document.safeParse(csv);
  if (!parsed.success) {
    throw new Failure('bundle_unsupported', 'The ClusterServiceVersion has no valid structure', {
      cause: parsed.error,
    });
  }
  const { spec } = parsed.data;
  const pods = (spec?.install?.spec.deployments ?? []).map((deployment) => deployment.spec.template.spec);
  const containers = pods.flatMap((pod) => pod.containers ?? []);
  const initContainers = pods.flatMap((pod) => pod.initContainers ?? []);
  const annotations = annotationsOf(csv);
  return [
    ...(spec?.relatedImages ?? []).map(({ name, image }) => ({ name, image })),
    ...annotations.filter(([key]) => key === 'containerImage').map(([, image]) => annotationImage(image)),
    ...containers.flatMap(imageOfContainer),
    ...initContainers.flatMap(imageOfContainer),
    ...[...containers, ...initContainers].flatMap(variableImages),
    ...annotations.filter(([key]) => key !== 'containerImage').flatMap(([, text]) => imagesInText(text)),
  ];
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

function imageOfContainer({ name, image }: Container): NamedImage[] {
  return image === undefined ? [] : [{ name, image }];
}

function variableImages({ env }: Container): NamedImage[] {
  const related = (env ?? []).filter((variable) => variable.name.startsWith('RELATED_IMAGE_'));
  return related.map(({ name, value, valueFrom }) => {
    if (valueFrom !== undefined || typeof value !== 'string') {
      throw new Failure('bundle_unsupported', `The variable ${name} must have a value; "valueFrom" is not supported`);
    }
    return { name: name.slice('RELATED_IMAGE_'.length).toLowerCase(), image: value };
  });
}

/** All `metadata.annotations` of a document, nested ones too, but none inside other metadata. */
function annotationsOf(value: unknown): [string, string][] {
  if (Array.isArray(value)) return value.flatMap(annotationsOf);
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) => {
    if (key !== 'metadata') return annotationsOf(child);
    const annotations: unknown = child?.annotations;
    if (typeof annotations !== 'object' || annotations === null) return [];
    return Object.entries(annotations).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  });
}

function imagesInText(text: string): NamedImage[] {
  return (text.match(/[A-Za-z0-9/\-._@:]+/g) ?? [])
    .map((run) => run.replace(/^[^A-Za-z0-9]+|[^A-Za-z0-9]+$/g, ''))
    .filter((run) => REFERENCE.test(run))
    .map(annotationImage);
}

function annotationImage(image: string): NamedImage {
  const last = image.slice(image.lastIndexOf('/') + 1);
  const [, repository = last, digest, tag] = /^([^@:]*)(?:@\w+:(\w+)|:(.*))?$/.exec(last) ?? [];
  return { name: `${repository}-${digest ?? tag ?? 'latest'}-annotation`, image };
}

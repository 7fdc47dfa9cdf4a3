import { type Draft, RESOURCES, type Resource } from './object.ts';

const OBJECT = ['apiVersion', 'kind', 'metadata', 'spec', 'status'];
const METADATA = [
  'name',
  'generateName',
  'namespace',
  'uid',
  'resourceVersion',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'labels',
  'annotations',
  'ownerReferences',
  'finalizers',
  'managedFields',
];
const RUN_SPEC = [
  'pipelineRef',
  'pipelineSpec',
  'params',
  'status',
  'timeouts',
  'taskRunTemplate',
  'workspaces',
  'taskRunSpecs',
  'managedBy',
];

/**
 * Paths of fields a custom resource does not have. The real server knows the schema down to the last field; here it is
 * the object itself, its metadata, and the spec of a PipelineRun, one level deep.
 */
export function unknownFields(resource: Resource, object: Draft): string[] {
  if (resource.builtin) return [];
  const extra = (value: unknown, known: readonly string[], prefix: string) =>
    Object.keys((value ?? {}) as object)
      .filter((field) => !known.includes(field))
      .map((field) => prefix + field);
  return [
    ...extra(object, OBJECT, ''),
    ...extra(object.metadata, METADATA, 'metadata.'),
    ...(resource === RESOURCES.pipelineruns ? extra(object.spec, RUN_SPEC, 'spec.') : []),
  ];
}

/** Takes the unknown fields off, as the server does without a word. */
export function prune(resource: Resource, object: Draft): void {
  for (const path of unknownFields(resource, object)) {
    const [parent, field] = path.includes('.') ? path.split(/\.(.*)/s, 2) : [undefined, path];
    const holder = (parent === undefined ? object : object[parent]) as Record<string, unknown>;
    delete holder[field ?? ''];
  }
}

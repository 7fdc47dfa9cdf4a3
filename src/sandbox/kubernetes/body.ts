import { z } from 'zod';
import { unknownFields } from './known-fields.ts';
import { apiVersionOf, type Draft, qualifiedName, type Resource } from './object.ts';
import { badRequest, Refusal } from './refusal.ts';

const ACCEPTED = ['application/json', 'application/yaml', 'application/vnd.kubernetes.protobuf'];
const Body = z.looseObject({ kind: z.string().optional(), metadata: z.looseObject({}).optional() });

/** How a call wants unknown fields treated: `Strict` refuses them, everything else lets them be pruned. */
export type FieldValidation = string | null;

/**
 * The object a client sends, in JSON. Of custom resources the kind must be named; of built-in ones the path says enough.
 *
 * @throws Refusal 415 (not JSON by its type), 400 (not JSON, no kind, unknown fields where they are refused)
 */
export function readDraft(
  resource: Resource,
  body: string,
  contentType: string | undefined,
  validation: FieldValidation,
): Draft {
  if (contentType !== undefined && !/^application\/json\b/.test(contentType)) {
    const types = ACCEPTED.join(', ');
    throw new Refusal(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${types}`,
    );
  }
  const draft = parse(resource, body);
  if (!resource.builtin && draft.kind === undefined)
    throw unrecognized(resource, `Object 'Kind' is missing in '${body}'`, body);
  if (validation === 'Strict') refuseUnknown(resource, draft as Draft);
  return draft as Draft;
}

/** The same text stands twice in what the server says of an object without a kind. */
const unrecognized = ({ kind }: Resource, why: string, body: string) =>
  badRequest(`the object provided is unrecognized (must be of type ${kind}): ${why} (${body})`);

function parse(resource: Resource, body: string): z.infer<typeof Body> {
  try {
    return Body.parse(JSON.parse(body));
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const error = why.charAt(0).toLowerCase() + why.slice(1);
    throw unrecognized(resource, `couldn't get version/kind; json parse error: ${error}`, body);
  }
}

function refuseUnknown(resource: Resource, draft: Draft): void {
  const unknown = unknownFields(resource, draft);
  if (unknown.length === 0) return;
  const { kind, version } = resource;
  const list = unknown.map((field) => `unknown field "${field}"`).join(', ');
  throw badRequest(`${kind} in version "${version}" cannot be handled as a ${kind}: strict decoding error: ${list}`);
}

/** A custom resource is only replaced by who says what was there. @throws Refusal 422 */
export function needVersion(resource: Resource, name: string, { metadata }: Draft): void {
  if (resource.builtin || metadata?.resourceVersion) return;
  const [field, why] = ['metadata.resourceVersion', 'Invalid value: 0: must be specified for an update'];
  throw new Refusal(422, 'Invalid', `${qualifiedName(resource)} "${name}" is invalid: ${field}: ${why}`, {
    name,
    group: apiVersionOf(resource).split('/')[0] ?? '',
    kind: resource.plural,
    causes: [{ reason: 'FieldValueInvalid', message: why, field }],
  });
}

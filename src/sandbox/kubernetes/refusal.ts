import { qualifiedName, type Reference, type Resource } from './object.ts';

export interface Details {
  name?: string;
  group?: string;
  kind?: string;
  causes?: { reason: string; message: string; field: string }[];
  retryAfterSeconds?: number;
}

/** The `Status` object with which an API server refuses (konflux-and-gitlab.md §6.1 point 11). */
export interface Status {
  kind: 'Status';
  apiVersion: 'v1';
  metadata: Record<string, unknown>;
  status: 'Failure' | 'Success';
  message?: string;
  reason?: string;
  details?: Details;
  code?: number;
}

/** Thrown by the store and by admission; the HTTP side answers with its `Status`. */
export class Refusal extends Error {
  readonly code: number;
  readonly reason: string;
  readonly details: Details | undefined;

  constructor(code: number, reason: string, message: string, details?: Details) {
    super(message);
    this.name = 'Refusal';
    this.code = code;
    this.reason = reason;
    this.details = details;
  }

  get status(): Status {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

const detailsOf = (resource: Resource, name: string): Details => ({
  name,
  ...(resource.group === '' ? {} : { group: resource.group }),
  kind: resource.plural,
});

export const notFound = (resource: Resource, { name }: Reference) =>
  new Refusal(404, 'NotFound', `${qualifiedName(resource)} "${name}" not found`, detailsOf(resource, name));

export const alreadyExists = (resource: Resource, { name }: Reference) =>
  new Refusal(409, 'AlreadyExists', `${qualifiedName(resource)} "${name}" already exists`, detailsOf(resource, name));

export const conflict = (resource: Resource, { name }: Reference, why: string) =>
  new Refusal(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualifiedName(resource)} "${name}": ${why}`,
    detailsOf(resource, name),
  );

const qualifiedKind = ({ group, kind }: Resource) => (group === '' ? kind : `${kind}.${group}`);

/** A DELETE whose preconditions do not hold; unlike other conflicts it names the kind. */
export const preconditionFailed = (resource: Resource, { name }: Reference, why: string) =>
  new Refusal(
    409,
    'Conflict',
    `Operation cannot be fulfilled on ${qualifiedKind(resource)} "${name}": ${why}`,
    detailsOf(resource, name),
  );

/**
 * 422 with one offending field, in the words of the server's own validation.
 *
 * @param value undefined: there is none, and there must be
 */
export function invalid(
  resource: Resource,
  name: string,
  field: string,
  value: string | undefined,
  why: string,
): Refusal {
  const kind = qualifiedKind(resource);
  const [fault, reason] =
    value === undefined ? ['Required value', 'FieldValueRequired'] : [`Invalid value: "${value}"`, 'FieldValueInvalid'];
  const message = `${fault}: ${why}`;
  return new Refusal(422, 'Invalid', `${kind} "${name}" is invalid: ${field}: ${message}`, {
    name,
    ...(resource.group === '' ? {} : { group: resource.group }),
    kind: resource.kind,
    causes: [{ reason, message, field }],
  });
}

export const badRequest = (message: string) => new Refusal(400, 'BadRequest', message);

/** Tekton's refusals arrive as 400 (real-cluster.md §3). */
export const admissionDenied = (webhook: string, why: string) =>
  badRequest(`admission webhook "${webhook}" denied the request: validation failed: ${why}`);

/** A version that history no longer reaches (real-cluster.md §2). */
export const tooOld = (asked: number, oldest: number) =>
  new Refusal(410, 'Expired', `too old resource version: ${asked} (${oldest})`);

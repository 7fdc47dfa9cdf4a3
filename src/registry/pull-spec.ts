import { Failure } from '../errors/failure.ts';

/** A reference to an image or artifact: `registry/repository[:tag][@digest]`. */
export interface PullSpec {
  /** Host with an optional port: `quay.io`, `localhost:5000`. */
  registry: string;
  /** Path below the registry, of one or more segments: `namespace/repo`. */
  repository: string;
  tag?: string;
  digest?: string;
}

/** A name, an IPv4 address, or an IPv6 address in brackets; with a port or without. */
const REGISTRY = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[A-Fa-f0-9:]+\])(?::\d{1,5})?$/;
const SEGMENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
/** Of the algorithms that registries use. */
export const DIGEST = /^(?:sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128})$/;
const LONGEST_NAME = 255;

/**
 * Reads a pull spec. Without tag and digest the tag is `latest`; the registry must be written out
 * (request-handling.md §3.2, with its faults mended).
 *
 * @throws Failure `pull_spec_invalid`
 */
export function parsePullSpec(text: string): PullSpec {
  const [named, digest] = split(text, text.indexOf('@'));
  const colon = named.lastIndexOf(':');
  const [name, tag] = split(named, colon > named.lastIndexOf('/') ? colon : -1);
  const [registry, repository] = split(name, name.indexOf('/'));

  if (repository === undefined || !namesRegistry(registry)) throw invalid(text, 'it does not name its registry');
  // Also a name that no URL can have: a port beyond 65535, an address of five parts.
  if (!REGISTRY.test(registry) || !URL.canParse(`https://${registry}`))
    throw invalid(text, `'${registry}' is not a registry`);
  if (name.length > LONGEST_NAME) throw invalid(text, `its name is longer than ${LONGEST_NAME} characters`);
  if (!repository.split('/').every((segment) => SEGMENT.test(segment))) {
    throw invalid(text, `'${repository}' is not a repository`);
  }
  if (tag !== undefined && !TAG.test(tag)) throw invalid(text, `'${tag}' is not a tag`);
  if (digest !== undefined && !DIGEST.test(digest)) throw invalid(text, `'${digest}' is not a digest`);
  if (tag === undefined && digest === undefined) return { registry, repository, tag: 'latest' };
  return { registry, repository, ...(tag === undefined ? {} : { tag }), ...(digest === undefined ? {} : { digest }) };
}

/** Whether {@link parsePullSpec} reads the text. */
export function isPullSpec(text: string): boolean {
  try {
    parsePullSpec(text);
    return true;
  } catch {
    return false;
  }
}

/** The pull spec as text; the opposite of {@link parsePullSpec}. */
export function printPullSpec({ registry, repository, tag, digest }: PullSpec): string {
  return `${registry}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/**
 * `registry/repository` of a pull spec, without tag and digest (request-handling.md §3.2).
 *
 * @throws Failure `pull_spec_invalid`
 */
export function nameOf(text: string): string {
  const { registry, repository } = parsePullSpec(text);
  return `${registry}/${repository}`;
}

/**
 * The pull spec by this digest, its tag dropped: `name@digest` (request-handling.md §3.3).
 *
 * @throws Failure `pull_spec_invalid`
 */
export function withDigest(text: string, digest: string): string {
  return checked(`${nameOf(text)}@${digest}`);
}

/**
 * The pull spec with this tag, its digest dropped: `name:tag`.
 *
 * @throws Failure `pull_spec_invalid`
 */
export function withTag(text: string, tag: string): string {
  return checked(`${nameOf(text)}:${tag}`);
}

/** Whether a text can be the tag of an image, by the grammar of OCI. */
export const isTag = (text: string): boolean => TAG.test(text);

/** Whether the first segment of a pull spec is a registry and not a namespace of some default one. */
export function namesRegistry(segment: string): boolean {
  return segment === 'localhost' || /[.:]/.test(segment);
}

function checked(text: string): string {
  return printPullSpec(parsePullSpec(text));
}

function split(text: string, at: number): [string, string | undefined] {
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}

function invalid(text: string, reason: string): Failure {
  return new Failure('pull_spec_invalid', `The pull specification '${text}' is not valid: ${reason}.`);
}

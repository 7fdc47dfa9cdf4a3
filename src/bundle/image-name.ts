import { namesRegistry } from '../registry/pull-spec.ts';

/**
 * A pull spec taken apart the way CSVs and customizations compare and change it (request-handling.md §3.2). Unlike
 * `registry/pull-spec.ts` it takes any text: what stands in a CSV need not be a pull spec at all.
 */
export interface ImageName {
  /** Absent when the first part cannot be one. */
  registry?: string;
  namespace?: string;
  /** Everything after the namespace, slashes included. */
  repo: string;
  /** A digest when it has a colon; `latest` when there was none. */
  tag: string;
}

/** Takes any text; printing the result gives the text again, with a missing tag written out. */
export function parseImageName(text: string): ImageName {
  const [first = '', second, ...rest] = text.split('/');
  if (second === undefined) return tagged({}, first);
  if (rest.length === 0) {
    return tagged(/[.:]/.test(first) ? { registry: first } : { namespace: first }, second);
  }
  return tagged({ registry: first, namespace: second }, rest.join('/'));
}

/** The opposite of {@link parseImageName}. Two names are the same image when this text is equal. */
export function printImageName({ registry, namespace, repo, tag }: ImageName): string {
  const path = [registry, namespace, repo].filter((part) => part !== undefined).join('/');
  return `${path}${tag.includes(':') ? '@' : ':'}${tag}`;
}

/** Whether the name says exactly which image is meant. */
export function isPinned({ tag }: ImageName): boolean {
  return tag.includes(':');
}

/**
 * The pull spec in the form registries are asked with: container engines read `redis:6` as `docker.io/library/redis:6`
 * and `ns/repo:1` as `docker.io/ns/repo:1`.
 */
export function qualified(text: string): string {
  const [first = '', ...path] = text.split('/');
  if (path.length === 0) return `docker.io/library/${text}`;
  return namesRegistry(first) ? text : `docker.io/${text}`;
}

function tagged(place: Pick<ImageName, 'registry' | 'namespace'>, last: string): ImageName {
  for (const mark of ['@', ':']) {
    const at = last.lastIndexOf(mark);
    if (at >= 0) return { ...place, repo: last.slice(0, at), tag: last.slice(at + 1) || 'latest' };
  }
  return { ...place, repo: last, tag: 'latest' };
}

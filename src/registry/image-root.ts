import type { TarEntry } from './tar.ts';
import { statementOf } from './whiteout.ts';

/** Content of a file, as the layers hold it. */
export interface Content {
  layer: number;
  /** Of its entry in the layer. */
  position: number;
  /** Bytes. */
  size: number;
  /** Where it was written to; null for content that nobody wanted so far. */
  file: string | null;
}

/** What stands at a path. `layer` is the layer that last spoke of it; layers count up from 0. */
export type Node =
  | Directory
  | { kind: 'file'; layer: number; content: Content }
  | { kind: 'symlink'; layer: number; target: string }
  /** Neither a file nor a directory: a device, a pipe, a hard link to nothing. */
  | { kind: 'special'; layer: number; what: string };

export interface Directory {
  kind: 'directory';
  layer: number;
  /** Nothing below it is older than this layer: a whiteout said twice costs nothing the second time. */
  oldest: number;
  children: Map<string, Node>;
}

/** The directories from the root (whose name is empty) to something, and that. */
export type Trail = readonly { name: string; node: Node }[];

export interface ImageRoot {
  /**
   * Takes an entry of a layer.
   *
   * @param path below the root, normal
   * @returns of a file, its content and where it is, symbolic links on the way followed; null for everything else, and
   *   for an entry whose path leads nowhere
   */
  add(
    path: string,
    entry: TarEntry,
    at: { layer: number; position: number },
  ): { path: string; content: Content } | null;
  /** What a path leads to from a directory (the root unless given), symbolic links followed inside the root. */
  find(path: string, from?: Trail): Trail | null;
  /** Things that were ever in the image, directories that paths imply included. */
  count(): number;
}

/** As many as containerd follows. */
const MOST_LINKS = 255;

/**
 * The files of an image as they come together, layer by layer, in memory. Paths are looked up here and never on disk:
 * whatever an image says leads to other parts of the same image. Rules where layers differ are those of containerd, with
 * which opm unpacks images. Names are byte strings (latin1).
 *
 * @param step told of every segment walked; throws when there were too many
 */
export function createImageRoot(step: () => void): ImageRoot {
  const top = { name: '', node: newDirectory(-1) };
  let count = 0;
  return { add, find: (path, from = [top]) => walk(path, { from }), count: () => count };

  function add(path: string, entry: TarEntry, { layer, position }: { layer: number; position: number }) {
    const [parentPath, base] = split(path);
    if (base === '') return null;
    const statement = statementOf(base);
    const linked = entry.type === 'link' ? walk(entry.linkName, { keepLast: true })?.at(-1)?.node : undefined;
    const trail = walk(parentPath, { create: layer });
    const parent = trail?.at(-1)?.node;
    if (trail === null || parent?.kind !== 'directory' || statement.says === 'nothing') return null;
    if (statement.says === 'emptied') clearBelow(parent, layer);
    else if (statement.says === 'gone') clear(parent, statement.name, layer);
    else {
      const node = nodeOf(entry, linked, { layer, position });
      const present = parent.children.get(base);
      if (node.kind === 'directory' && present?.kind === 'directory') present.layer = layer;
      else set(parent, base, node);
      if (entry.type === 'file' && node.kind === 'file') {
        return { path: [...trail.slice(1).map(({ name }) => name), base].join('/'), content: node.content };
      }
    }
    return null;
  }

  function walk(
    path: string,
    { from = [top], create, keepLast = false }: { from?: Trail; create?: number; keepLast?: boolean },
  ): Trail | null {
    let trail = path.startsWith('/') ? [top] : [...from];
    const pending = segmentsOf(path).toReversed();
    let links = 0;
    for (let segment = pending.pop(); segment !== undefined; segment = pending.pop()) {
      step();
      const directory = trail.at(-1)?.node;
      if (directory?.kind !== 'directory') return null;
      if (segment === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      let node = directory.children.get(segment);
      if (node?.kind === 'symlink' && !(keepLast && pending.length === 0)) {
        links += 1;
        if (links > MOST_LINKS) return null;
        if (node.target.startsWith('/')) trail = [top];
        pending.push(...segmentsOf(node.target).toReversed());
        continue;
      }
      if (create !== undefined) {
        if (node?.kind !== 'directory') {
          node = newDirectory(create);
          set(directory, segment, node);
        }
        node.layer = create;
      }
      if (node === undefined) return null;
      trail.push({ name: segment, node } as (typeof trail)[number]);
    }
    return trail;
  }

  function set(directory: Directory, name: string, node: Node): void {
    count += 1;
    directory.children.set(name, node);
  }
}

function nodeOf(
  { type, linkName, size }: TarEntry,
  linked: Node | undefined,
  { layer, position }: { layer: number; position: number },
): Node {
  if (type === 'directory') return newDirectory(layer);
  if (type === 'file') return { kind: 'file', layer, content: { layer, position, size, file: null } };
  if (type === 'symlink') return { kind: 'symlink', layer, target: linkName };
  if (type === 'other') return { kind: 'special', layer, what: 'neither a file nor a directory' };
  if (linked !== undefined && linked.kind !== 'directory') return { ...linked, layer };
  return { kind: 'special', layer, what: `a hard link to ${linkName}, which is no file of the image` };
}

/** Removes what is older than the layer at and below a name; what the layer itself has put there stays. */
function clear(directory: Directory, name: string, layer: number): void {
  const node = directory.children.get(name);
  // Whatever a layer puts below marks all directories on its way, so nothing of it is in an older one.
  if (node !== undefined && node.layer < layer) directory.children.delete(name);
  else if (node?.kind === 'directory') clearBelow(node, layer);
}

function clearBelow(directory: Directory, layer: number): void {
  if (directory.oldest >= layer) return;
  for (const name of [...directory.children.keys()]) clear(directory, name, layer);
  directory.oldest = layer;
}

function split(path: string): [parent: string, base: string] {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)];
}

function segmentsOf(path: string): string[] {
  return path.split('/').filter((segment) => segment !== '' && segment !== '.');
}

function newDirectory(layer: number): Directory {
  return { kind: 'directory', layer, oldest: layer, children: new Map() };
}

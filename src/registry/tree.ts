import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { FileWriter } from './file-writer.ts';

/** A directory of an image as it comes together, layer by layer, in a directory on disk. */
export interface Tree {
  /** Absolute path in the image. */
  directory: string;
  to: string;
  /** How a path (relative to the image's root) lies to the directory. */
  relation(path: string): 'above' | 'at or below' | 'beside';
  /** Whether the image has the directory, after what was read so far. */
  found(): boolean;
  addDirectory(path: string, layer: number): Promise<void>;
  /** Makes way for a file and gives the path on disk to write it to. */
  addFile(path: string, layer: number): Promise<string>;
  /** Removes what layers below this one put at the path. */
  remove(path: string, layer: number): Promise<void>;
  /** Removes what layers below this one put into the directory at the path. */
  empty(path: string, layer: number): Promise<void>;
}

/** What stands at a path. Layers count up from 0; whiteouts are about lower ones only. */
interface Node {
  /** The layer that last spoke of it. */
  layer: number;
  /** Nothing below it is older than this layer: a whiteout said twice costs nothing the second time. */
  oldest: number;
  children: Map<string, Node> | null;
}
type Directory = Node & { children: Map<string, Node> };

/**
 * Keeps a tree of its own beside the one on disk, so that no path is ever looked up on disk: what an image says can
 * lead nowhere but below `to`.
 *
 * @param directory absolute, normal, below the root
 * @param to exists and is empty
 * @param writer writes the files; is waited for before anything is removed
 */
export function treeOf(directory: string, to: string, writer: Pick<FileWriter, 'settled'>): Tree {
  const own = directory.slice(1).split('/');
  /** Stands above the directory, so that the directory is an entry like any other. */
  const top: Directory = { layer: -1, oldest: -1, children: new Map() };
  const name = '.';

  return {
    directory,
    to,
    relation,
    found: () => top.children.get(name)?.children != null,
    async addDirectory(path, layer) {
      await openDirectory(below(path), layer);
    },
    async addFile(path, layer) {
      const segments = below(path);
      const parent = await openDirectory(segments.slice(0, -1), layer);
      const last = segments.at(-1) ?? name;
      if (parent.children.has(last)) await erase(onDisk(segments));
      parent.children.set(last, { layer, oldest: layer, children: null });
      return onDisk(segments);
    },
    async remove(path, layer) {
      await clear(relation(path) === 'above' ? [name] : below(path), layer);
    },
    async empty(path, layer) {
      if (relation(path) === 'above') await clear([name], layer);
      else await clearBelow(below(path), layer);
    },
  };

  function relation(path: string): ReturnType<Tree['relation']> {
    const segments = path === '' ? [] : path.split('/');
    const shared = Math.min(segments.length, own.length);
    if (segments.slice(0, shared).join('/') !== own.slice(0, shared).join('/')) return 'beside';
    return segments.length < own.length ? 'above' : 'at or below';
  }

  /** Segments from the top of our tree: the directory itself is `.`. */
  function below(path: string): string[] {
    return [name, ...path.split('/').slice(own.length)];
  }

  async function erase(path: string): Promise<void> {
    await writer.settled();
    await rm(path, { recursive: true, force: true });
  }

  function onDisk(segments: readonly string[]): string {
    return join(to, ...segments);
  }

  function at(segments: readonly string[]): Node | undefined {
    let node: Node | undefined = top;
    for (const segment of segments) node = node?.children?.get(segment);
    return node;
  }

  async function openDirectory(segments: readonly string[], layer: number): Promise<Directory> {
    let node = top;
    for (const [depth, segment] of segments.entries()) {
      const present = node.children.get(segment);
      const path = onDisk(segments.slice(0, depth + 1));
      if (present !== undefined && !isDirectory(present)) await erase(path);
      const next: Directory = present !== undefined && isDirectory(present) ? present : newDirectory(layer);
      if (next !== present) await mkdir(path, { recursive: true });
      next.layer = layer;
      node.children.set(segment, next);
      node = next;
    }
    return node;
  }

  /** Removes what is older than the layer at and below a path; what the layer itself has put there stays. */
  async function clear(segments: readonly string[], layer: number): Promise<void> {
    const node = at(segments);
    if (node === undefined) return;
    const last = segments.at(-1) ?? '';
    if (node.layer < layer) {
      // Whatever the layer puts below marks all directories on its way, so nothing of it is in here.
      at(segments.slice(0, -1))?.children?.delete(last);
      await erase(onDisk(segments));
      return;
    }
    await clearBelow(segments, layer);
  }

  async function clearBelow(segments: readonly string[], layer: number): Promise<void> {
    const node = at(segments);
    if (node === undefined || node.oldest >= layer) return;
    for (const child of [...(node.children?.keys() ?? [])]) await clear([...segments, child], layer);
    node.oldest = layer;
  }
}

function newDirectory(layer: number): Directory {
  return { layer, oldest: layer, children: new Map() };
}

function isDirectory(node: Node): node is Directory {
  return node.children !== null;
}

import { copyFile, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Failure } from '../errors/failure.ts';
import type { Content, ImageRoot, Trail } from './image-root.ts';

/** What is to be written of a directory; paths are relative to it. */
export interface WantedFiles {
  /** Each after the one it is in. */
  directories: string[];
  files: { path: string; content: Content }[];
  /** Of the files, each once. */
  contents: Content[];
}

/** Bytes; file systems take no longer name. */
const LONGEST_NAME = 255;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Lists the files of a directory of an image. Of a symbolic link to a file, the file is listed.
 *
 * @param directory absolute path to a directory that is there
 * @param refused makes the failure for what cannot be written
 */
export function wantedFiles(
  root: ImageRoot,
  directory: string,
  {
    limits,
    refused,
  }: { limits: { depth: number; kept: { entries: number; bytes: number } }; refused: (reason: string) => Failure },
): WantedFiles {
  const wanted: WantedFiles = { directories: [], files: [], contents: [] };
  const contents = new Set<Content>();
  let bytes = 0;
  const start = root.find(directory);
  if (start !== null) list(start, []);
  return { ...wanted, contents: [...contents] };

  function list(trail: Trail, segments: readonly string[]): void {
    const node = trail.at(-1)?.node;
    if (node?.kind !== 'directory') return;
    for (const [name, child] of node.children) {
      const path = [...segments, nameIn(name, directory)];
      if (path.length > limits.depth) throw refused(`it has a path of more than ${limits.depth} segments`);
      if (child.kind === 'directory') {
        wanted.directories.push(path.join('/'));
        list([...trail, { name, node: child }], path);
      } else {
        addFile(path.join('/'), child.kind === 'symlink' ? linked(path, child.target, trail) : child);
      }
      if (wanted.files.length + wanted.directories.length > limits.kept.entries) {
        throw refused(`there are more than ${limits.kept.entries} entries in it`);
      }
    }
  }

  function addFile(path: string, node: Exclude<Trail[number]['node'], { kind: 'directory' | 'symlink' }>): void {
    if (node.kind === 'special') throw refused(`${inImage(path)} is ${shown(node.what)}`);
    bytes += node.content.size;
    if (bytes > limits.kept.bytes) throw refused(`it is larger than ${limits.kept.bytes} bytes`);
    contents.add(node.content);
    wanted.files.push({ path, content: node.content });
  }

  /** opm reads links to files and no others. */
  function linked(path: readonly string[], target: string, from: Trail) {
    const node = root.find(target, from)?.at(-1)?.node;
    if (node?.kind === 'file' || node?.kind === 'special') return node;
    const why = node === undefined ? 'which is not in the image' : 'which is not a file';
    throw refused(`${inImage(path.join('/'))} is a symbolic link to ${shown(target)}, ${why}`);
  }

  function inImage(path: string): string {
    return `${shown(directory).slice(1)}/${path}`;
  }

  function nameIn(name: string, parent: string): string {
    if (name.length > LONGEST_NAME || name.includes('\0'))
      throw refused('it has an entry with a name that no file system takes');
    try {
      return utf8.decode(Buffer.from(name, 'latin1'));
    } catch {
      throw refused(`in ${shown(parent)} is a name that is not UTF-8: ${JSON.stringify(shown(name))}`);
    }
  }
}

/** A byte string of the image as text for people. */
function shown(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/**
 * Puts files whose content is on disk into empty directories: each content is moved to the first place it is wanted at,
 * and copied to others, so that no two files change together.
 */
export async function placeFiles(all: readonly { wanted: WantedFiles; to: string }[]): Promise<void> {
  const moved = new Set<Content>();
  for (const { wanted, to } of all) {
    for (const path of wanted.directories) await mkdir(join(to, path));
    for (const { path, content } of wanted.files) {
      if (content.file === null) throw new Error(`The content of ${path} was not fetched`);
      const place = join(to, path);
      if (moved.has(content)) await copyFile(content.file, place);
      else await rename(content.file, place);
      content.file = place;
      moved.add(content);
    }
  }
}

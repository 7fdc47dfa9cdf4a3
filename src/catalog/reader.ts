import { constants } from 'node:fs';
import { copyFile, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Failure } from '../errors/failure.ts';
import { blobOf, type FbcBlob } from './fbc.ts';
import { type CatalogFolder, copyWhole, filesBelow } from './folders.ts';
import { filesSeen, IGNORE_FILE, isIgnoreFile } from './ignored.ts';
import type { Opm } from './opm.ts';
import { type OpmSurroundings, renderTo } from './opm-commands.ts';
import { inParser } from './parser.ts';
import type { Filter } from './parser-thread.ts';

/** Bytes of one catalog file. */
const LARGEST = 256 * 1024 * 1024;

/** A file of a catalog folder with what is in it. */
export interface CatalogFile {
  /** Path relative to the folder. */
  file: string;
  blobs: FbcBlob[];
}

/**
 * Reads catalog files as an index's opm reads them. What is JSON alone is parsed here, in a thread; everything else
 * (YAML, other dialects of JSON, wrong types) is read by opm itself, in a process, and its word decides.
 */
export interface CatalogReader {
  /** Names of the files in a folder that opm reads, sorted, whatever they are called; a folder that is absent has none. */
  files(folder: CatalogFolder): Promise<string[]>;
  /** The files of a folder, in the order of names. */
  read(folder: CatalogFolder, options?: { except?: readonly string[] }): Promise<CatalogFile[]>;
  /** One file of a folder. */
  readFile(folder: CatalogFolder, file: string): Promise<FbcBlob[]>;
  /** Whether a file is JSON alone, another text, or none. */
  kindOf(folder: CatalogFolder, file: string): Promise<'JSON' | 'text' | 'not UTF-8'>;
  /**
   * Writes the documents of any file as JSON, none of their fields lost.
   *
   * @param to a path that nothing is at; it is not written when the file has to stay as it is
   * @returns how many there are, and whether all of them came through whole
   */
  writeJson(folder: CatalogFolder, file: string, to: string): Promise<{ documents: number; whole: boolean }>;
  /** Removes what a filter does not leave of a file; a file with nothing left is deleted. */
  filter(folder: CatalogFolder, file: string, by: Filter): Promise<void>;
  /** The first file that opm does not read when it is alone, as a failure that names it. */
  culprit(folders: readonly CatalogFolder[]): Promise<Failure | undefined>;
}

/**
 * A reader on the opm of an index.
 *
 * @throws Failure from every method: `catalog_invalid` with the file's name and opm's word; `opm_crashed`,
 *   `process_timeout`
 */
export function createCatalogReader(opm: Opm, around: OpmSurroundings): CatalogReader {
  const { signal } = around;

  const checked = async ({ dir, shown, names }: CatalogFolder, file: string) => {
    const at = { path: join(dir, file), shown: join(shown, names?.get(file) ?? file) };
    if ((await stat(at.path)).size > LARGEST) {
      throw new Failure('catalog_invalid', `The catalog file ${at.shown} is larger than ${LARGEST} bytes`);
    }
    return at;
  };

  /** Lets opm read a folder; what it writes is there for `use` alone. */
  const rendered = async <T>(
    { shown }: { shown: string },
    input: string,
    use: (output: string) => Promise<T>,
  ): Promise<T> => {
    const output = join(await mkdtemp(join(around.scratch ?? tmpdir(), 'rendered-')), 'catalog.json');
    try {
      await renderTo(opm, input, output, around);
      // Aliases make much of little: what counts is what they stand for.
      if ((await stat(output)).size > LARGEST) {
        throw new Failure('catalog_invalid', `The catalog file ${shown} expands to more than ${LARGEST} bytes`);
      }
      return await use(output);
    } catch (thrown) {
      if (!(thrown instanceof Failure) || thrown.code !== 'opm_refused') throw thrown;
      const message = `The catalog file ${shown} is not valid: ${thrown.message}`;
      throw new Failure('catalog_invalid', message, { cause: thrown });
    } finally {
      await rm(dirname(output), { recursive: true, force: true });
    }
  };

  /** Lets opm read one file, by its content alone: opm takes names and neighbours for nothing. */
  const renderedAlone = async <T>(
    at: { shown: string },
    fill: (to: string) => Promise<void>,
    use: (output: string) => Promise<T>,
  ): Promise<T> => {
    const input = await mkdtemp(join(around.scratch ?? tmpdir(), 'alone-'));
    try {
      await fill(join(input, 'catalog'));
      return await rendered(at, input, use);
    } finally {
      await rm(input, { recursive: true, force: true });
    }
  };

  const copyOf = (path: string) => (to: string) => copyFile(path, to, constants.COPYFILE_FICLONE);

  const blobsOf = async (folder: CatalogFolder, file: string): Promise<FbcBlob[]> => {
    const { path, shown } = await checked(folder, file);
    const own = await inParser('read', { path }, { shown, signal });
    const blobs = 'json' in own ? blobsIn(own.json) : undefined;
    if (blobs !== undefined) return blobs;
    return renderedAlone({ shown }, copyOf(path), async (output) => {
      const read = await inParser('read', { path: output }, { shown, signal });
      const found = 'json' in read ? blobsIn(read.json) : undefined;
      if (found === undefined) throw new Error(`${opm.name} has written what is no catalog`);
      return found;
    });
  };

  const writeJson = async (folder: CatalogFolder, file: string, to: string) => {
    const { path, shown } = await checked(folder, file);
    const context = { shown, signal };
    const own = await inParser('read', { path }, context);
    if ('json' in own) {
      await copyFile(path, to, constants.COPYFILE_EXCL);
      return { documents: own.json.length, whole: true };
    }
    // Text that is not UTF-8 must not be repaired on the way to opm.
    if (own.other === 'not UTF-8') throw notUtf8(shown);
    let names: Awaited<ReturnType<typeof inParser<'mask'>>> | undefined;
    return renderedAlone(
      { shown },
      async (input) => {
        names = await inParser('mask', { path, to: input }, context);
      },
      async (output) => {
        if (names === undefined) throw new Error('nothing was masked');
        const { documents, escaped } = await inParser('unmask', { path: output, to, names }, context);
        return { documents, whole: escaped === 0 };
      },
    );
  };

  const files = (folder: CatalogFolder) =>
    filesSeen(folder, {
      scratch: around.scratch,
      schemas: (input) =>
        rendered({ shown: join(folder.shown, IGNORE_FILE) }, input, async (output) => {
          const read = await inParser('read', { path: output }, { shown: folder.shown, signal });
          return 'json' in read ? (blobsIn(read.json) ?? []).map(({ schema }) => schema) : [];
        }),
    });

  return {
    files,

    async read(folder, { except = [] } = {}) {
      const read: CatalogFile[] = [];
      for (const file of await files(folder)) {
        if (!except.includes(file)) read.push({ file, blobs: await blobsOf(folder, file) });
      }
      return read;
    },

    readFile: blobsOf,

    async kindOf(folder, file) {
      const { path, shown } = await checked(folder, file);
      const found = await inParser('read', { path }, { shown, signal });
      return 'json' in found ? 'JSON' : found.other;
    },

    writeJson,

    async filter(folder, file, by) {
      const { path, shown } = await checked(folder, file);
      const scratch = await mkdtemp(join(around.scratch ?? tmpdir(), 'filter-'));
      try {
        const [json, left] = [join(scratch, 'all.json'), join(scratch, 'left.json')];
        await writeJson(folder, file, json);
        const outcome = await inParser('filter', { path: json, to: left, by }, { shown, signal });
        if (outcome === 'none') await rm(path);
        if (outcome !== 'some') return;
        await copyWhole(left, path);
      } finally {
        await rm(scratch, { recursive: true, force: true });
      }
    },

    async culprit(folders) {
      for (const folder of folders) {
        for (const file of (await filesBelow(folder.dir)).filter((name) => !isIgnoreFile(name))) {
          const { path, shown } = await checked(folder, file);
          try {
            await renderedAlone({ shown }, copyOf(path), async () => {});
          } catch (thrown) {
            if (thrown instanceof Failure && thrown.code === 'catalog_invalid') return thrown;
            throw thrown;
          }
        }
      }
      return undefined;
    },
  };
}

/** The refusal of text in another encoding, by the file's name as the user has it. */
export function notUtf8(shown: string): Failure {
  return new Failure(
    'catalog_invalid',
    `The catalog file ${shown} is not valid: it is not UTF-8 text; save it as UTF-8`,
  );
}

/** undefined when opm has to say what is wrong. */
function blobsIn(documents: readonly unknown[]): FbcBlob[] | undefined {
  try {
    return documents.map(blobOf);
  } catch {
    return undefined;
  }
}

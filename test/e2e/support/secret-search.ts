import { closeSync, fstatSync, lstatSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Tells which of some secrets stand in a text, however they are written there. */
export type SecretSearch = (text: string) => string[];

/**
 * A search for secrets as they are, as parts of URLs, in hex, and in base64 of anything they are a part of.
 *
 * @param secrets what each is called, and the secret
 */
export function secretSearch(secrets: Readonly<Record<string, string>>): SecretSearch {
  const forms = Object.entries(secrets).map(([name, secret]) => ({ name, forms: formsOf(secret) }));
  return (text) => forms.filter((one) => one.forms.some((form) => text.includes(form))).map(({ name }) => name);
}

/** All the strings that a search for a secret looks for. */
export function formsOf(secret: string): string[] {
  const bytes = Buffer.from(secret);
  const plain = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex')];
  const base64 = [0, 1, 2].flatMap((offset) => {
    const whole = Buffer.concat([Buffer.alloc(offset), bytes]);
    // Only the characters that no neighbour has a part in.
    const core = whole.toString('base64').slice(Math.ceil((offset * 8) / 6), Math.floor((whole.length * 8) / 6));
    return [core, core.replaceAll('+', '-').replaceAll('/', '_'), encodeURIComponent(core)];
  });
  return [...new Set([...plain, ...base64])];
}

export interface FileTrace {
  path: string;
  secrets: string[];
  /** Permission bits of the file and of the folder that it is in. */
  mode: number;
  folder: number;
}

/** Folders that a server makes for its data among the temporary ones: what it holds is read through its tables. */
const OF_POSTGRES = /^indexwright-postgres-/;

/** What a search has found in files, by their stamps: for one that looks at the same files again and again. */
export type Searched = Map<string, string[]>;

/**
 * Files below some folders that hold a secret; what goes while we look is not there. Links are not followed.
 *
 * @param searched files that have not changed since they were put here are not read again
 */
export function filesWithSecrets(
  search: SecretSearch,
  folders: readonly string[],
  searched: Searched = new Map(),
): FileTrace[] {
  return folders.flatMap((folder) => {
    const mode = modeOf(folder);
    if (mode === undefined) return [];
    return entriesOf(folder).flatMap((entry): FileTrace[] => {
      const path = join(folder, entry.name);
      if (OF_POSTGRES.test(entry.name)) return [];
      if (entry.isDirectory()) return filesWithSecrets(search, [path], searched);
      const file = entry.isFile() ? contentOf(path, search, searched) : undefined;
      return file === undefined || file.secrets.length === 0 ? [] : [{ path, folder: mode, ...file }];
    });
  });
}

const gone = new Set(['ENOENT', 'ENOTDIR', 'ESRCH', 'EACCES']);

function unlessGone<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (thrown) {
    if (gone.has((thrown as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw thrown;
  }
}

const permissions = ({ mode }: { mode: number }) => mode & 0o777;
const modeOf = (path: string) => unlessGone(() => permissions(lstatSync(path)));
const entriesOf = (path: string) => unlessGone(() => readdirSync(path, { withFileTypes: true })) ?? [];

/** Milliseconds after a change in which the next one may get the same time: clocks of file systems are coarse. */
const SAME_TIME = 100;

/** Secrets in one file and its permissions, also when it goes between the two looks. */
const contentOf = (path: string, search: SecretSearch, searched: Searched) =>
  unlessGone(() => {
    const file = openSync(path, 'r');
    try {
      const { dev, ino, size, ctimeNs, ctimeMs, mode } = fstatSync(file, { bigint: true });
      const stamp = [dev, ino, size, ctimeNs].join(' ');
      const secrets = searched.get(stamp) ?? search(readFileSync(file, 'latin1'));
      if (Date.now() - Number(ctimeMs) > SAME_TIME) searched.set(stamp, secrets);
      return { secrets, mode: permissions({ mode: Number(mode) }) };
    } finally {
      closeSync(file);
    }
  });

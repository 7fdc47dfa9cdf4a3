/** Codes of system calls that this machine or the limits of this process refuse for a while: what is short, and the remedy. */
const SHORT: Readonly<Record<string, string>> = {
  EMFILE: 'out of file descriptors: raise its limit of open files (ulimit -n) or lower worker.concurrency',
  ENFILE: 'on a machine that is out of file descriptors: raise fs.file-max or run fewer programs there',
  ENOSPC: 'out of disk space: free some in stateDir or the directory for temporary files',
  EDQUOT: 'at its disk quota: free some space in stateDir or the directory for temporary files',
  ENOMEM: 'out of memory: raise its memory limit or lower worker.concurrency',
  EAGAIN: 'out of processes or memory for a new one: raise its limit of processes (ulimit -u, pids.max)',
};

/** SQLite's result codes for the same. */
const SQLITE: Readonly<Record<number, string>> = { 7: 'ENOMEM', 13: 'ENOSPC' };

/**
 * The same in the words of programs, by line: git's are those of strerror(3), those of Go programs name the call before.
 * What a server said does not count: git's lines about it have the word `remote`, and in what Go programs quote no call
 * of ours stands before it. A lack of memory is left out where a program runs under a limit of its own (opm).
 */
const WORDS: readonly (readonly [RegExp, string])[] = [
  [/^(?!.*\bremote\b).*: .*No space left on device/, 'ENOSPC'],
  [/^(?!.*\bremote\b).*: Disk quota exceeded/, 'EDQUOT'],
  [/^(?!.*\bremote\b).*: Too many open files in system/, 'ENFILE'],
  [/^(?!.*\bremote\b).*: Too many open files/, 'EMFILE'],
  [/^(?!.*\bremote\b).*(?:fork|thread|exec).*: Resource temporarily unavailable/, 'EAGAIN'],
  [/^(?!.*\bremote\b)fatal: .*(?:Cannot allocate memory|Out of memory)/, 'ENOMEM'],
  [
    /\b(?:write|mkdir|open|create|copy_file_range|fsync|truncate|rename|link|symlink) [^\s:]+: no space left on device/,
    'ENOSPC',
  ],
  [/\b(?:write|mkdir|open|create|copy_file_range|fsync|truncate) [^\s:]+: disk quota exceeded/, 'EDQUOT'],
  [/\b(?:open [^\s:]+|socket|pipe2?|accept4?|fork\/exec [^\s:]+): too many open files in system/, 'ENFILE'],
  [/\b(?:open [^\s:]+|socket|pipe2?|accept4?|fork\/exec [^\s:]+): too many open files/, 'EMFILE'],
  [/\bfork\/exec [^\s:]+: resource temporarily unavailable/, 'EAGAIN'],
  [/\bfailed to create new OS thread/, 'EAGAIN'],
  [/\bdatabase or disk is full\b/, 'ENOSPC'],
];

/** The sentence for people about a code of a system call; undefined when the code is about something else. */
export function shortageOf(code: string): string | undefined {
  const what = SHORT[code];
  return what === undefined ? undefined : `This worker is ${what} (${code})`;
}

/**
 * Finds a shortage of this machine behind anything thrown, however it was renamed on its way up: by the codes of the
 * errors in its chain of causes.
 *
 * @returns the sentence for people; undefined when there is no shortage
 */
export function findShortage(thrown: unknown): string | undefined {
  for (let [at, depth] = [thrown, 0]; at instanceof Error && depth < 10; [at, depth] = [at.cause, depth + 1]) {
    const { code, syscall, errcode } = at as { code?: unknown; syscall?: unknown; errcode?: unknown };
    if (code === 'ERR_SQLITE_ERROR' && typeof errcode === 'number') {
      const found = shortageOf(SQLITE[errcode & 0xff] ?? '');
      if (found !== undefined) return found;
    }
    // Of a socket EAGAIN means something else.
    if (typeof code !== 'string' || (code === 'EAGAIN' && !/^(?:spawn|fork|uv_)/.test(String(syscall)))) continue;
    const found = shortageOf(code);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Finds a shortage in what a program that failed wrote to its standard error; undefined when there is none. */
export function shortageInWords(stderr: string): string | undefined {
  const lines = stderr.slice(-65_536).split('\n');
  const found = WORDS.find(([words]) => lines.some((line) => words.test(line)));
  return found === undefined ? undefined : shortageOf(found[1]);
}

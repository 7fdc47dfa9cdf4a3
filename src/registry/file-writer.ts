import { writeFile } from 'node:fs/promises';

/** Writes small new files, several at a time. */
export interface FileWriter {
  /** Takes a file over and resolves as soon as there is room for the next; throws what an earlier write failed with. */
  write(path: string, bytes: Buffer): Promise<void>;
  /** Resolves when everything taken over is on disk; throws what a write failed with. */
  settled(): Promise<void>;
  /** Resolves when nothing is being written any more, failed or not. */
  idle(): Promise<void>;
}

/**
 * @param most files in writing at once: with 32, 3,300 files of 15 KB took 0.23 s, one after the other 2.5 s
 *   (two busy cores, ext4)
 */
export function createFileWriter(most = 32): FileWriter {
  const writing = new Set<Promise<void>>();
  let failure: { reason: unknown } | undefined;

  const check = () => {
    if (failure !== undefined) throw failure.reason;
  };
  const idle = async () => {
    await Promise.all(writing);
  };
  return {
    idle,
    async settled() {
      await idle();
      check();
    },
    async write(path, bytes) {
      if (writing.size >= most) await Promise.race(writing);
      check();
      const write = writeFile(path, bytes, { flag: 'wx' })
        .catch((reason: unknown) => {
          failure ??= { reason };
        })
        .finally(() => writing.delete(write));
      writing.add(write);
    },
  };
}

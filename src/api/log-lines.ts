import { open } from 'node:fs/promises';

/** Bytes read at once; longer lines are cut. */
const PIECE = 64 * 1024;

export interface LogLine {
  text: string;
  /** Offset of the byte after it. */
  end: number;
}

/** The whole lines of a file from an offset on, a piece of it at most; none when there is no such file (yet). */
export async function linesAfter(path: string, offset: number): Promise<{ lines: LogLine[]; more: boolean }> {
  const piece = await read(path, offset);
  const last = piece.lastIndexOf('\n');
  const usable = piece.length === PIECE && last < 0 ? piece.length : last + 1;
  const lines: LogLine[] = [];
  for (let at = 0; at < usable; ) {
    const newline = piece.indexOf('\n', at);
    const end = newline < 0 ? usable : newline + 1;
    lines.push({ text: piece.toString('utf8', at, newline < 0 ? end : newline), end: offset + end });
    at = end;
  }
  return { lines, more: piece.length === PIECE };
}

async function read(path: string, offset: number): Promise<Buffer> {
  try {
    const file = await open(path);
    try {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.alloc(PIECE), position: offset });
      return buffer.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw failure;
  }
}

import { writeJson } from '../requests/json.ts';

/** Characters that are written in one turn of the event loop; more would hold up everybody else's requests. */
const TURN = 256 * 1024;

/** Resolves in a later turn of the event loop: other requests are answered in between. */
export const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The same only after `size` bytes or characters of work, so that small requests do not wait. */
export const turnAfter = async (size: number): Promise<void> => (size > TURN ? nextTurn() : undefined);

/** A JSON array in the byte form of rest-api.md §0, written over as many turns as it needs. */
export async function writeList(values: Iterable<unknown>): Promise<string> {
  const texts: string[] = [];
  let written = 0;
  for (const value of values) {
    const text = writeJson(value);
    texts.push(text);
    written += text.length;
    if (written <= TURN) continue;
    written = 0;
    await nextTurn();
  }
  return `[${texts.join(',')}]`;
}

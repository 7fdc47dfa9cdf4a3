import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');

/** The text of a page, path from the root of the project. */
export function page(path: string): string {
  return readFileSync(join(ROOT, path), 'utf8');
}

/** The part of a page below the given second-level heading, up to the next one. */
export function section(text: string, heading: string): string {
  const found = text.split(/^## /m).find((part) => part.startsWith(`${heading}\n`));
  if (found === undefined) throw new Error(`there is no section "${heading}"`);
  return found;
}

/** The rows of all tables whose first column has this title, cells trimmed. */
export function rowsOf(text: string, firstColumn: string): string[][] {
  const cellsOf = (line: string) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim());
  const tables = text.match(/^\|.*\n\|[-| :]+\n(?:\|.*\n?)*/gm) ?? [];
  return tables.flatMap((table) => {
    const [head = '', , ...rows] = table.trimEnd().split('\n');
    return cellsOf(head)[0] === firstColumn ? rows.map(cellsOf) : [];
  });
}

/** What stands in the code spans of a cell. */
export function codeIn(cell: string | undefined): string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '');
}

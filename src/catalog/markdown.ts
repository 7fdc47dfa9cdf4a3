/**
 * Text of others as a code span: GitLab then runs no quick action, calls nobody and links nothing. The fence is longer
 * than any run of backticks inside; line ends become blanks, so that a span cannot be left.
 *
 * @param longest characters shown; the rest is cut
 */
export function code(text: string, longest = 300): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out.
  const plain = text.replace(/[\u0000-\u001f\u007f\u2028\u2029]+/g, ' ');
  const flat = plain.length > longest ? `${plain.slice(0, longest)}…` : plain;
  if (flat.trim() === '') return '` `';
  const runs = flat.match(/`+/g) ?? [];
  const fence = '`'.repeat(Math.max(0, ...runs.map((run) => run.length)) + 1);
  const pad = flat.startsWith('`') || flat.endsWith('`') ? ' ' : '';
  return `${fence}${pad}${flat}${pad}${fence}`;
}

/** A code span inside a table. A bar would end the cell even there, and escapes of bars can themselves be escaped. */
export function cell(text: string, longest?: number): string {
  return code(text, longest).replaceAll('|', '¦');
}

/** A table of cells that are Markdown already. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/**
 * Values that must never be written anywhere. Whoever reads a token registers it here once;
 * the log and every text that leaves for a user goes through `mask`.
 */
const known = new Set<string>();

/** Remembers a secret for the life of the process. Very short values are refused: masking them would garble everything. */
export function registerSecret(secret: string | undefined): void {
  if (!secret || secret.length < 4) return;
  known.add(secret);
  known.add(Buffer.from(secret).toString('base64'));
  known.add(encodeURIComponent(secret));
  known.add(JSON.stringify(secret).slice(1, -1));
}

/** The text with every registered secret replaced by `*****`. */
export const mask = (text: string): string => hide(known, text);

/**
 * The text with every place where one of the secrets stands replaced by `*****`. Secrets may be parts of one another or
 * overlap: every character that belongs to one is hidden.
 *
 * @param secrets none of them empty
 */
export function hide(secrets: Iterable<string>, text: string): string {
  const places = [...secrets].flatMap((secret) => occurrences(secret, text)).sort((a, b) => a.start - b.start);
  let shown = '';
  let end = 0;
  for (const place of places) {
    if (place.start >= end) shown += `${text.slice(end, place.start)}*****`;
    end = Math.max(end, place.end);
  }
  return shown + text.slice(end);
}

/** Where the secret stands in the text, counted in UTF-16 units; also where it overlaps itself. */
function occurrences(secret: string, text: string): { start: number; end: number }[] {
  const found = [];
  for (let start = text.indexOf(secret); start >= 0; start = text.indexOf(secret, start + 1))
    found.push({ start, end: start + secret.length });
  return found;
}

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
}

/** The text with every registered secret replaced by `*****`. */
export function mask(text: string): string {
  let masked = text;
  for (const secret of known) masked = masked.replaceAll(secret, '*****');
  return masked;
}

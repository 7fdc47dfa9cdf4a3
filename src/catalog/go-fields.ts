/**
 * Fields of a JSON object as Go's `encoding/json` finds them for a struct: names count without regard to case, null is
 * the same as absent, and of several spellings the last one in byte order wins, because opm sorts keys before it reads.
 *
 * @returns undefined for what Go cannot read into a struct: text, numbers, lists
 */
export function fieldsOf<Name extends string>(
  value: unknown,
  names: readonly Name[],
): { [name in Name]?: unknown } | undefined {
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) return undefined;
  const fields: { [name in Name]?: unknown } = {};
  for (const name of names) {
    const found = spellingsOf(value, name).findLast(([, given]) => given !== null);
    if (found !== undefined) fields[name] = wellFormed(found[1]);
  }
  return fields;
}

/** Entries of an object whose keys Go takes for `name`, in byte order. */
export function spellingsOf(value: object, name: string): [key: string, value: unknown][] {
  const folded = fold(name);
  return Object.entries(value)
    .filter(([key]) => key === name || (key.length === name.length && fold(key) === folded))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Covers the two letters of other alphabets that Go takes for ours, too (U+017F and U+212A). */
function fold(key: string): string {
  return key.toUpperCase().toLowerCase();
}

/** Half a surrogate pair is U+FFFD to Go. */
function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  return Array.isArray(value) ? value.map((item) => (typeof item === 'string' ? item.toWellFormed() : item)) : value;
}

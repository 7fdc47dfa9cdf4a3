import { randomBytes } from 'node:crypto';

/** Schemas whose documents opm writes anew, without the fields that it does not know. */
const KNOWN = ['olm.package', 'olm.channel', 'olm.bundle', 'olm.deprecations'] as const;
type KnownSchema = (typeof KNOWN)[number];

/** For each of opm's own schemas the name it has while opm reads a file. */
export type Mask = Readonly<Record<KnownSchema, string>>;

/**
 * Other names for opm's schemas: `opm render` leaves fields out that it does not know, in documents of its own schemas,
 * and hands through whole what it does not know at all. A name is as long as the one it stands for and begins as it does,
 * so a text means the same in YAML, mistakes and columns included, and opm sorts the two in the same way.
 *
 * @param text what may not contain any of the names
 */
export function maskFor(text: string): Mask {
  for (;;) {
    const mask = Object.fromEntries(
      KNOWN.map((schema) => [schema, schema.slice(0, KEPT) + letters(schema.length - KEPT)]),
    );
    if (!Object.values(mask).some((name) => text.includes(name))) return mask as Mask;
  }
}

/** The text with opm's schemas under their other names, wherever they stand. */
export function masked(text: string, mask: Mask): string {
  return text.replace(/olm\.(?:package|channel|bundle|deprecations)/g, (schema) => mask[schema as KnownSchema]);
}

/**
 * A document that opm has written of a masked text, under its own schema: the fields that tell what it is come first, as
 * opm has them, all others in opm's order.
 *
 * @param document JSON as `opm render` writes it: an object, each of its fields on lines of their own, four spaces in
 */
export function unmasked(document: string, mask: Mask): string {
  let text = document;
  for (const schema of KNOWN) text = text.replaceAll(mask[schema], schema);
  const [first = '', ...rest] = text.split(/\n {4}(?=")/);
  if (first !== '{') return text;
  const fields = rest.map((field, at) => (at === rest.length - 1 ? field.replace(/\n\}$/, '') : field.slice(0, -1)));
  const leading = FIRST.map((key) => fields.find((field) => field.startsWith(`"${key}": `)));
  const others = fields.filter((field) => !leading.includes(field));
  return `{${[...leading.filter((field) => field !== undefined), ...others].map((field) => `\n    ${field}`).join(',')}\n}`;
}

/** The schema of opm's that a document of a masked text has, `escaped` when its name was written in another way. */
export function knownSchemaOf(schema: string, mask: Mask): KnownSchema | 'escaped' | undefined {
  if ((KNOWN as readonly string[]).includes(schema)) return 'escaped';
  return KNOWN.find((known) => mask[known] === schema);
}

const FIRST = ['schema', 'name', 'package'];

/** `olm.`, and the letter in which the names differ. */
const KEPT = 5;

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function letters(count: number): string {
  return Array.from(randomBytes(count), (byte) => LETTERS[byte % LETTERS.length]).join('');
}

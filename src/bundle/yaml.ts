import { type Document, LineCounter, parseAllDocuments, type ScalarTag } from 'yaml';

/** Characters; far above any real catalog file, far below what would exhaust the process. */
const LONGEST = 64 * 1024 * 1024;
/** Real files use a handful of aliases; a bomb needs thousands. */
const MOST_ALIASES = 100;

/** Why a YAML text was refused, in one line without any path. */
export class YamlRefused extends Error {}

/**
 * `2021-01-02 10:00:00` and its kin, given as ISO 8601 text. Values are never turned into dates: opm keeps the text
 * of timestamps, too.
 */
const timestamp: ScalarTag = {
  tag: 'tag:yaml.org,2002:timestamp',
  default: true,
  test: /^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt]|[ \t]+)(\d\d?):(\d\d):(\d\d(?:\.\d+)?)[ \t]*(Z|[-+]\d\d?(?::?\d\d)?)?$/,
  resolve(text) {
    const [, year, month, day, hour, minute, second, zone = ''] = (timestamp.test as RegExp).exec(text) ?? [];
    if (year === undefined || !/[ \t]/.test(text)) return text;
    const two = (digits = '') => digits.padStart(2, '0');
    const [sign, hours, minutes] = [zone.slice(0, 1), zone.slice(1).split(':')[0], zone.split(':')[1]];
    const offset = zone === '' || zone === 'Z' ? zone : `${sign}${two(hours)}:${minutes ?? '00'}`;
    return `${year}-${two(month)}-${two(day)}T${two(hour)}:${minute}:${second}${offset}`;
  },
};

export interface YamlOptions {
  /** Refused unless the reader has to bear with what opm accepts. */
  repeatedKeys?: 'refuse' | 'last wins';
}

/** A document of a YAML text, as nodes with their places in the text and as plain data. */
export interface YamlDocument {
  document: Document.Parsed;
  value: unknown;
}

/**
 * Reads the documents of a YAML text that anybody may have written: aliases, size and nesting are bounded, no value
 * becomes anything but JSON. Scalars mean what they mean to opm (YAML 1.1 without base 60 numbers and dates).
 *
 * @throws YamlRefused with the reason; callers say which file in their own sentence
 */
export function readYaml(text: string, options: YamlOptions = {}): YamlDocument[] {
  if (text.length > LONGEST) throw new YamlRefused(`longer than ${LONGEST} characters`);
  const lines = new LineCounter();
  try {
    const documents = parseAllDocuments(text, {
      version: '1.1',
      customTags: (tags) => [
        ...tags.filter((tag) => {
          if (typeof tag === 'string') return true;
          return tag.format !== 'TIME' && !/:(timestamp|binary|set|omap|pairs)$/.test(tag.tag);
        }),
        timestamp,
      ],
      merge: true,
      uniqueKeys: options.repeatedKeys !== 'last wins',
      lineCounter: lines,
      prettyErrors: false,
      logLevel: 'silent',
    });
    return documents.map((document) => {
      const error = document.errors[0];
      if (error) {
        const { line, col } = lines.linePos(error.pos[0]);
        const reason = /call stack/i.test(error.message) ? 'nested too deeply' : error.message;
        throw new YamlRefused(`line ${line}, column ${col}: ${reason}`);
      }
      const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
      if (text.includes('*')) refuseCycles(value, new Set());
      return { document, value };
    });
  } catch (thrown) {
    if (thrown instanceof YamlRefused) throw thrown;
    // A stack overflow (RangeError) is how absurd nesting shows itself.
    throw new YamlRefused(thrown instanceof RangeError ? 'nested too deeply' : (thrown as Error).message, {
      cause: thrown,
    });
  }
}

/** The same as plain data alone, empty documents left out. Throws as {@link readYaml}. */
export function parseYaml(text: string, options: YamlOptions = {}): unknown[] {
  return readYaml(text, options).flatMap(({ value }) => (value === null || value === undefined ? [] : [value]));
}

/** An anchor inside its own value is legal YAML and no JSON. */
function refuseCycles(value: unknown, above: Set<unknown>): void {
  if (typeof value !== 'object' || value === null) return;
  if (above.has(value)) throw new YamlRefused('an alias refers to what contains it');
  above.add(value);
  for (const child of Object.values(value)) refuseCycles(child, above);
  above.delete(value);
}

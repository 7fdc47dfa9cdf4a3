import { createHash } from 'node:crypto';
import { DatabaseSync } from 'node:sqlite';

/** Everything of an index.db that must be equal to upstream's (opm-and-index-db.md §3.7), as text. */
export interface IndexContent {
  migration: unknown;
  /** The statements that made tables, indexes and triggers. */
  schema: string[];
  /** Table → its rows as a multiset, each value with its storage class. */
  tables: Record<string, string[]>;
  /** `package channel` → its entries in order: bundle, depth, position of the entry that it replaces. */
  channels: Record<string, string[]>;
}

const TABLES = [
  'package',
  'channel',
  'operatorbundle',
  'related_image',
  'dependencies',
  'properties',
  'api',
  'api_provider',
  'api_requirer',
  'deprecated',
];

/** Reads it; manifests are told by their digests. */
export function indexContent(path: string): IndexContent {
  const db = new DatabaseSync(path, { readOnly: true });
  try {
    const all = (sql: string) => db.prepare(sql).all() as Record<string, Value>[];
    const tables = TABLES.map((table) => {
      const columns = all(`select name from pragma_table_info('${table}')`).map(({ name }) => String(name));
      const list = columns.map((name) => `typeof("${name}"), "${name}"`).join(', ');
      const rows: string[] = [];
      // Values in pairs; as an array, since columns of one name would lose one another.
      const statement = db.prepare(`select ${list} from ${table}`);
      statement.setReturnArrays(true);
      for (const row of statement.iterate() as Iterable<unknown>) rows.push(rowText(columns, row as Value[]));
      return [table, rows.sort()];
    });
    return {
      migration: all('select version from schema_migrations'),
      schema: all('select sql from sqlite_master where sql is not null')
        .map(({ sql }) => String(sql))
        .sort(),
      tables: Object.fromEntries(tables),
      channels: channelsOf(all('select * from channel_entry order by entry_id')),
    };
  } finally {
    db.close();
  }
}

type Value = null | string | number | bigint | Uint8Array;

function rowText(columns: readonly string[], row: readonly Value[]): string {
  return columns
    .map((column, at) => {
      const [type, value] = [row[2 * at], row[2 * at + 1] ?? null];
      return `${column}:${type}=${column === 'skips' ? inAnyOrder(valueText(value)) : valueText(value)}`;
    })
    .join(' ');
}

function valueText(value: Value): string {
  if (value === null) return '';
  const text = value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : String(value);
  return text.length <= 300 ? text : `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** opm with `--enable-alpha` goes through the skips of a bundle as a map of Go: their order says nothing. */
function inAnyOrder(skips: string): string {
  return skips.split(',').sort().join(',');
}

function channelsOf(entries: readonly Record<string, Value>[]): IndexContent['channels'] {
  const groups = Map.groupBy(entries, ({ package_name, channel_name }) => `${package_name} ${channel_name}`);
  return Object.fromEntries(
    [...groups].map(([channel, group]) => {
      const position = new Map(group.map(({ entry_id }, at) => [entry_id, at]));
      const list = group.map(({ operatorbundle_name: name, depth, replaces }) => ({
        name: String(name),
        depth,
        replaces: replaces === null ? 'none' : (position.get(replaces ?? null) ?? 'elsewhere'),
      }));
      sortSkips(list);
      return [channel, list.map((entry) => `${entry.name} depth ${entry.depth} replaces ${entry.replaces}`)];
    }),
  );
}

/** A skip is a pair of entries: the skipped bundle, and its successor that replaces it. Pairs in a row are in any order. */
function sortSkips(entries: { name: string; replaces: string | number }[]): void {
  for (let start = 0; start < entries.length; start += 1) {
    let end = start;
    const successor = entries[start + 1]?.name;
    while (entries[end + 1]?.replaces === end && entries[end + 1]?.name === successor) end += 2;
    const skipped = entries.slice(start, end).filter((_, at) => at % 2 === 0);
    const names = skipped.map(({ name }) => name).sort();
    for (const [at, entry] of skipped.entries()) entry.name = names[at] ?? '';
    if (end > start) start = end - 1;
  }
}

/** A catalog.json with the skips of each entry sorted, for the same reason; nothing else is touched. */
export function skipsSorted(catalog: string): string {
  return catalog.replace(/("skips": \[)([^\]]*)(\n\s*\])/g, (_, opening: string, list: string, end: string) => {
    const names = list.split(',').map((line) => line.trim());
    const indent = /^\s*/.exec(list)?.[0] ?? '';
    return `${opening}${names
      .sort()
      .map((name) => indent + name)
      .join(',')}${end}`;
  });
}

import { writeFile } from 'node:fs/promises';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { Substitution } from '../bundle/substitutions.ts';
import { Failure } from '../errors/failure.ts';
import type { Opm } from './opm.ts';
import { type OpmSurroundings, registryAdd } from './opm-commands.ts';

/** A bundle as `opm render` of the database would list it. */
export interface IndexedBundle {
  package: string;
  /** CSV name. */
  name: string;
  version: string;
  /** Pull spec as it was added. */
  image: string;
  /** In the order of their names. */
  channels: string[];
}

/** The newest schema there is; no other will come (opm-and-index-db.md §1.1). */
export const SCHEMA = 13;

const TABLES = ['channel', 'channel_entry', 'deprecated', 'operatorbundle', 'package', 'properties'];

/**
 * Opens an index.db read-only, checks that it is one at the newest schema, and closes it again afterwards.
 *
 * @throws Failure `index_db_invalid`
 */
export function readingIndexDb<T>(path: string, read: (db: DatabaseSync) => T): T {
  const db = opened(path);
  try {
    const version = schemaOf(db);
    if (version !== SCHEMA) {
      throw new Failure('index_db_invalid', `The index database has schema ${version}; ${SCHEMA} is needed`);
    }
    return read(db);
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    throw new Failure('index_db_invalid', 'The index database cannot be read', { cause: thrown });
  } finally {
    db.close();
  }
}

/**
 * The bundles of a database (or of some of its packages) that `opm render` shows: not deprecated, with version, image
 * and channel (opm-and-index-db.md §2.5). By package, then name.
 *
 * @throws Failure `index_db_invalid`
 */
export function bundlesIn(path: string, packages?: readonly string[]): IndexedBundle[] {
  const rows = readingIndexDb(path, (db) =>
    db
      .prepare(
        `select distinct e.package_name as package, b.name, b.version, b.bundlepath as image, e.channel_name as channel
           from channel_entry e
           join package p on p.name = e.package_name
           join channel c on c.name = e.channel_name and c.package_name = e.package_name
           join operatorbundle b on b.name = e.operatorbundle_name
          where b.version is not null and b.bundlepath is not null
            and b.name not in (select operatorbundle_name from properties
                                where type = 'olm.deprecated' and operatorbundle_name is not null)
            and (?1 is null or e.package_name in (select value from json_each(?1)))
          order by e.package_name, b.name, e.channel_name`,
      )
      .all(packages === undefined ? null : JSON.stringify(packages)),
  );
  const Row = z.object({
    package: z.string(),
    name: z.string(),
    version: z.string(),
    image: z.string(),
    channel: z.string(),
  });
  const bundles = new Map<string, IndexedBundle>();
  for (const { channel, ...bundle } of parsed(Row, rows)) {
    const key = JSON.stringify([bundle.package, bundle.name]);
    const known = bundles.get(key);
    if (known) known.channels.push(channel);
    else bundles.set(key, { ...bundle, channels: [channel] });
  }
  return [...bundles.values()];
}

/**
 * Names of the packages that have at least one channel entry, sorted: those that `opm registry rm` can remove.
 *
 * @throws Failure `index_db_invalid`
 */
export function packagesIn(path: string): string[] {
  const rows = readingIndexDb(path, (db) =>
    db.prepare('select name from package intersect select package_name from channel_entry order by 1').all(),
  );
  return parsed(z.object({ name: z.string() }), rows).map((row) => row.name);
}

/** Whether a package is in the database, by the rule of `packagesIn`. @throws Failure `index_db_invalid` */
export function hasPackage(path: string, name: string): boolean {
  const row = readingIndexDb(path, (db) =>
    db
      .prepare(`select 1 from package where name = ?1 and exists (select 1 from channel_entry where package_name = ?1)`)
      .get(name),
  );
  return row !== undefined;
}

/** A channel of the database and the image that heads it; null when the head is not image-based. */
export interface ChannelHead {
  package: string;
  channel: string;
  image: string | null;
  isDefault: boolean;
}

/** Heads of all channels of the given packages. @throws Failure `index_db_invalid` */
export function channelHeadsIn(path: string, packages: readonly string[]): ChannelHead[] {
  const rows = readingIndexDb(path, (db) =>
    db
      .prepare(
        `select c.package_name as package, c.name as channel, b.bundlepath as image,
                p.default_channel is c.name as isDefault
           from channel c
           join package p on p.name = c.package_name
           left join operatorbundle b on b.name = c.head_operatorbundle_name
          where c.package_name in (select value from json_each(?1))
          order by 1, 2`,
      )
      .all(JSON.stringify(packages)),
  );
  const Row = z.object({
    package: z.string(),
    channel: z.string(),
    image: z.string().nullable(),
    isDefault: z.number().transform((flag) => flag === 1),
  });
  return parsed(Row, rows);
}

/**
 * Which bundles of some packages substitute for which others, for `assertNoSubstitutionCycle`.
 *
 * @throws Failure `index_db_invalid`
 */
export function substitutionsIn(path: string, packages: readonly string[]): Substitution[] {
  const rows = readingIndexDb(path, (db) =>
    db
      .prepare(
        `select name, substitutesfor as substitutesFor from operatorbundle
          where name in (select operatorbundle_name from channel_entry
                          where package_name in (select value from json_each(?1)))
            and substitutesfor is not null and substitutesfor <> ''
          order by name`,
      )
      .all(JSON.stringify(packages)),
  );
  return parsed(z.object({ name: z.string(), substitutesFor: z.string() }), rows);
}

/**
 * Makes sure that a file is an index.db at the newest schema: an older one is brought up to date in place by opm.
 *
 * @throws Failure `index_db_invalid` when it is no database or newer than anything known; those of `registryAdd`
 */
export async function upgradeIndexDb(opm: Opm, path: string, around: OpmSurroundings): Promise<void> {
  const db = opened(path);
  let version: number;
  try {
    version = schemaOf(db);
  } finally {
    db.close();
  }
  if (version > SCHEMA) {
    throw new Failure('index_db_invalid', `The index database has schema ${version}; the newest known is ${SCHEMA}`);
  }
  if (version < SCHEMA) await registryAdd(opm, path, [], {}, around);
}

/**
 * Creates an index.db without packages. A file that is there is an error.
 *
 * @throws Failure as `registryAdd`
 */
export async function emptyIndexDb(opm: Opm, path: string, around: OpmSurroundings = {}): Promise<void> {
  // opm takes a file of no bytes for a new database.
  await writeFile(path, '', { flag: 'wx' });
  await registryAdd(opm, path, [], {}, around);
}

function opened(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path, { readOnly: true, allowExtension: false });
  } catch (cause) {
    throw new Failure('index_db_invalid', 'The index database cannot be opened', { cause });
  }
}

/** Which migration a database has seen, -1 for files that have not even the table for it. */
function schemaOf(db: DatabaseSync): number {
  try {
    // Views with the names of our tables would run what their author likes.
    const tables = db.prepare(`select name from sqlite_master where type = 'table'`).all();
    const names = new Set(parsed(z.object({ name: z.string() }), tables).map((row) => row.name));
    if (!names.has('schema_migrations')) {
      throw new Failure('index_db_invalid', 'The file is a database, but no index of operators');
    }
    const row = db.prepare('select max(version) as version from schema_migrations').get();
    const { version } = z.object({ version: z.number().int().nullable() }).parse(row);
    const absent = version === SCHEMA ? TABLES.filter((name) => !names.has(name)) : [];
    if (absent.length > 0) {
      throw new Failure('index_db_invalid', `The index database lacks the tables ${absent.join(', ')}`);
    }
    return version ?? -1;
  } catch (thrown) {
    if (thrown instanceof Failure) throw thrown;
    throw new Failure('index_db_invalid', 'The file is no index database', { cause: thrown });
  }
}

function parsed<T extends z.ZodType>(row: T, rows: unknown): z.infer<T>[] {
  return z.array(row).parse(rows) as z.infer<T>[];
}

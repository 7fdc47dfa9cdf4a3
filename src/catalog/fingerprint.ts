import { createHash, type Hash } from 'node:crypto';
import { readingIndexDb } from './index-db.ts';

/** Package → digest over everything of it in the database that shows in its catalog. */
export type Fingerprints = ReadonlyMap<string, string>;

/**
 * One digest per package, cheap enough to take before and after each change. Manifests count by their lengths, which
 * SQLite knows without reading them; columns that lie behind them in the record are left out, since they only change
 * together with the channel entries or the image.
 *
 * @throws Failure `index_db_invalid`
 */
export function fingerprints(path: string): Fingerprints {
  return readingIndexDb(path, (db) => {
    const hashes = new Map<string, Hash>();
    const take = (sql: string) => {
      for (const row of db.prepare(sql).iterate()) {
        const [name, ...values] = Object.values(row);
        const key = String(name);
        let hash = hashes.get(key);
        if (hash === undefined) {
          hash = createHash('sha256');
          hashes.set(key, hash);
        }
        hash.update(JSON.stringify([sql.length, ...values]));
      }
    };
    take('select name, default_channel from package order by 1');
    take('select package_name, name, head_operatorbundle_name from channel order by 1, 2');
    take(
      `select e.package_name, e.channel_name, e.operatorbundle_name, e.depth, r.operatorbundle_name
         from channel_entry e left join channel_entry r on r.entry_id = e.replaces
        order by e.package_name, e.channel_name, e.entry_id`,
    );
    take(
      `select distinct e.package_name, b.name, b.version, b.bundlepath, length(b.csv), length(b.bundle),
              b.name in (select operatorbundle_name from deprecated) as deprecated
         from channel_entry e join operatorbundle b on b.name = e.operatorbundle_name
        order by 1, 2`,
    );
    return new Map([...hashes].map(([name, hash]) => [name, hash.digest('hex')]));
  });
}

/** Names of the packages that differ, came or went, sorted. */
export function changedPackages(before: Fingerprints, after: Fingerprints): string[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names].filter((name) => before.get(name) !== after.get(name)).sort();
}

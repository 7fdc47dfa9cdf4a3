import { DatabaseSync, type StatementSync } from 'node:sqlite';
import type { z } from 'zod';
import {
  Group,
  Hook,
  Member,
  MergeRequest,
  Note,
  PendingPush,
  Pipeline,
  Project,
  ProtectedBranch,
  Status,
  Token,
  User,
} from './records.ts';

/** Records of one kind: all in memory, each change written through to the database at once. */
export interface Table<T extends { id: number }> {
  all(): T[];
  get(id: number): T | undefined;
  find(matches: (record: T) => boolean): T | undefined;
  filter(matches: (record: T) => boolean): T[];
  /** Gives the record the next id and keeps it. */
  add(fields: Omit<T, 'id'>): T;
  /** Changes fields of a kept record in place, so that everybody who holds it sees the change. */
  change(record: T, fields: Partial<T>): T;
  remove(record: T): void;
}

const tables = {
  users: User,
  tokens: Token,
  groups: Group,
  projects: Project,
  members: Member,
  hooks: Hook,
  protectedBranches: ProtectedBranch,
  mergeRequests: MergeRequest,
  notes: Note,
  statuses: Status,
  pipelines: Pipeline,
  pendingPushes: PendingPush,
};

export type Store = { [Kind in keyof typeof tables]: Table<z.infer<(typeof tables)[Kind]>> } & { close(): void };

/** Opens the SQLite file (made when absent) and reads all records; konflux-and-gitlab.md §6. */
export function openStore(file: string): Store {
  const database = new DatabaseSync(file);
  // The file outlives this process, not the machine: no need to wait for the disk.
  database.exec('pragma journal_mode = wal; pragma synchronous = off');
  database.exec(
    'create table if not exists records (kind text, id integer, body text not null, primary key (kind, id)) without rowid',
  );
  database.exec('create table if not exists last_ids (kind text primary key, id integer not null)');
  const statements = {
    put: database.prepare('insert or replace into records (kind, id, body) values (?, ?, ?)'),
    drop: database.prepare('delete from records where kind = ? and id = ?'),
    read: database.prepare('select body from records where kind = ? order by id'),
    last: database.prepare('select id from last_ids where kind = ?'),
    setLast: database.prepare('insert or replace into last_ids (kind, id) values (?, ?)'),
  };
  const opened = Object.entries(tables).map(([kind, schema]) => [kind, openTable(statements, kind, schema)]);
  return Object.assign(Object.fromEntries(opened), { close: () => database.close() }) as Store;
}

type Statements = Record<'put' | 'drop' | 'read' | 'last' | 'setLast', StatementSync>;

function openTable<T extends { id: number }>(
  statements: Statements,
  kind: string,
  schema: { parse(value: unknown): unknown },
): Table<T> {
  const records = new Map<number, T>();
  for (const row of statements.read.all(kind)) {
    const record = schema.parse(JSON.parse(String(row.body))) as T;
    records.set(record.id, record);
  }
  let last = Number(statements.last.get(kind)?.id ?? 0);
  const write = (record: T) => void statements.put.run(kind, record.id, JSON.stringify(record));
  return {
    all: () => [...records.values()],
    get: (id) => records.get(id),
    find(matches) {
      for (const record of records.values()) if (matches(record)) return record;
      return undefined;
    },
    filter: (matches) => [...records.values()].filter(matches),
    add(fields) {
      // Ids are never given twice, not even after the record is gone.
      last += 1;
      const record = { ...fields, id: last } as unknown as T;
      records.set(record.id, record);
      statements.setLast.run(kind, last);
      write(record);
      return record;
    },
    change(record, fields) {
      Object.assign(record, fields);
      write(record);
      return record;
    },
    remove(record) {
      records.delete(record.id);
      statements.drop.run(kind, record.id);
    },
  };
}

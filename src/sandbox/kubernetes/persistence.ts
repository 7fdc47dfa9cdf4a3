import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import { type KubeObject, RESOURCES, type Resource } from './object.ts';

const Row = z.object({ resource: z.string(), body: z.string() });
const Counter = z.object({ value: z.number() });
const Stored = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), uid: z.string(), resourceVersion: z.string() }),
});

/** Where a store keeps its objects between two lives of the sandbox: one SQLite file. */
export class Persistence {
  readonly #database: DatabaseSync;

  constructor(file: string) {
    this.#database = new DatabaseSync(file);
    this.#database.exec(`
      pragma journal_mode = wal;
      pragma synchronous = off;
      create table if not exists objects (resource text, key text, body text not null, primary key (resource, key));
      create table if not exists version (only integer primary key check (only = 0), value integer not null);
    `);
  }

  load(): { version: number; objects: { resource: Resource; object: KubeObject }[] } {
    const counter = this.#database.prepare('select value from version').get();
    const known: Record<string, Resource> = RESOURCES;
    const objects = this.#database
      .prepare('select resource, body from objects order by resource, key')
      .all()
      .flatMap((row) => {
        const { resource, body } = Row.parse(row);
        const found = known[resource];
        return found ? [{ resource: found, object: Stored.parse(JSON.parse(body)) as unknown as KubeObject }] : [];
      });
    return { version: counter === undefined ? 1000 : Counter.parse(counter).value, objects };
  }

  put(version: number, resource: Resource, key: string, object: KubeObject): void {
    this.#database
      .prepare('insert into objects values (?, ?, ?) on conflict (resource, key) do update set body = excluded.body')
      .run(resource.plural, key, JSON.stringify(object));
    this.#count(version);
  }

  drop(version: number, resource: Resource, key: string): void {
    this.#database.prepare('delete from objects where resource = ? and key = ?').run(resource.plural, key);
    this.#count(version);
  }

  close(): void {
    this.#database.close();
  }

  #count(version: number): void {
    this.#database
      .prepare('insert into version values (0, ?) on conflict (only) do update set value = excluded.value')
      .run(version);
  }
}

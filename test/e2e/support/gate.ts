import { Client } from 'pg';

/** Where in a step's life the worker is held: before its intent, its outcome or its undoing is written down. */
export type Moment = 'intent' | 'outcome' | 'undone';

export interface Gate {
  /** Resolves when the worker stands at the gate: everything before that moment has happened, nothing after. */
  reached(): Promise<void>;
  /** Lets the worker go on, or, if it was killed, cleans up after it. */
  open(): Promise<void>;
}

const LOCK = 777;
const INSTALL = `
  create table if not exists test_gates (step text, moment text);
  create or replace function test_gate() returns trigger language plpgsql as $$
  declare
    moment text := case
      when tg_op = 'INSERT' then 'intent'
      when new.undone_at is not null and old.undone_at is null then 'undone'
      when new.outcome is not null and old.outcome is null then 'outcome' end;
  begin
    if exists (select from test_gates g where g.step = new.name and g.moment = moment) then
      perform pg_advisory_xact_lock(${LOCK}, 1);
    end if;
    return new;
  end $$;
  create or replace trigger test_gate before insert or update on delivery_steps
    for each row execute function test_gate()`;

/**
 * Stops a worker at one write to the journal, from outside: a trigger in the test's database waits for a lock that the
 * test holds. The service has no hook for this and cannot tell.
 */
export async function gateAt(databaseUrl: string, step: string, moment: Moment): Promise<Gate> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(INSTALL);
  await client.query('select pg_advisory_lock($1, 1)', [LOCK]);
  await client.query('delete from test_gates');
  await client.query('insert into test_gates values ($1, $2)', [step, moment]);
  const waiting = `select pid from pg_locks where locktype = 'advisory' and classid = ${LOCK} and not granted`;
  return {
    async reached() {
      for (const until = Date.now() + 60_000; ; ) {
        const { rowCount } = await client.query(waiting);
        if (rowCount) return;
        if (Date.now() > until) throw new Error(`no worker came to the ${moment} of ${step}`);
        await client.query('select pg_sleep(0.01)');
      }
    },
    async open() {
      await client.query('delete from test_gates');
      await client.query('select pg_advisory_unlock($1, 1)', [LOCK]);
      await client.end();
    },
  };
}

/** As a crashed worker's connection would be: ended, its transaction rolled back. */
export async function dropWaiting(databaseUrl: string): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(
    `select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and classid = ${LOCK} and not granted`,
  );
  await client.end();
}

import { Client } from 'pg';
import { onTestFinished } from 'vitest';

/**
 * Where the worker is held: before the intent, the outcome or the undoing of a step of that name is written down,
 * before a state reason of that text is, or before a request enters its lane (the name is that of the lane's branch).
 */
export type Moment = 'intent' | 'outcome' | 'undone' | 'report' | 'admission';

export interface Gate {
  /** Resolves when the worker stands at the gate: everything before that moment has happened, nothing after. */
  reached(): Promise<void>;
  /** Lets the worker go on, or, if it was killed, cleans up after it. */
  open(): Promise<void>;
}

const LOCK = 777;
const INSTALL = `
  create table test_gates (name text, moment text);
  create or replace function test_gate() returns trigger language plpgsql as $$
  declare
    at_moment text;
    at_name text;
  begin
    if tg_table_name = 'delivery_steps' then
      at_name := new.name;
      at_moment := case
        when tg_op = 'INSERT' then 'intent'
        when new.undone_at is not null and old.undone_at is null then 'undone'
        when new.outcome is not null and old.outcome is null then 'outcome' end;
    elsif tg_table_name = 'request_states' then
      at_name := new.state_reason;
      at_moment := 'report';
    else
      select branch into at_name from lanes where id = new.lane_id;
      at_moment := 'admission';
    end if;
    if exists (select from test_gates g where g.name = at_name and g.moment = at_moment) then
      perform pg_advisory_xact_lock(${LOCK}, 1);
    end if;
    return new;
  end $$;
  create or replace trigger test_gate before insert or update on delivery_steps
    for each row execute function test_gate();
  create or replace trigger test_gate before insert on request_states
    for each row execute function test_gate();
  create or replace trigger test_gate before update of lane_id on requests
    for each row execute function test_gate()`;

/**
 * Stops a worker at one of its writes to the database, from outside: a trigger waits for a lock that the test holds.
 * The service has no hook for this and cannot tell.
 */
export async function gateAt(databaseUrl: string, name: string, moment: Moment): Promise<Gate> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  let closed = false;
  const close = async () => {
    if (!closed) await client.end();
    closed = true;
  };
  onTestFinished(close);
  // Once: creating a trigger locks the table, and workers are writing to it.
  const { rowCount: installed } = await client.query("select from pg_class where relname = 'test_gates'");
  if (!installed) await client.query(INSTALL);
  await client.query('select pg_advisory_lock($1, 1)', [LOCK]);
  await client.query('delete from test_gates');
  await client.query('insert into test_gates values ($1, $2)', [name, moment]);
  const waiting = `select pid from pg_locks where locktype = 'advisory' and classid = ${LOCK} and not granted`;
  return {
    async reached() {
      for (const until = Date.now() + 60_000; ; ) {
        const { rowCount } = await client.query(waiting);
        if (rowCount) return;
        if (Date.now() > until) throw new Error(`no worker came to the ${moment} of ${name}`);
        await client.query('select pg_sleep(0.01)');
      }
    },
    async open() {
      await client.query('delete from test_gates');
      await close();
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

import { Client } from 'pg';

/** Shapes of the seeded data; the benchmark asks for some of these. */
export const SEED = {
  /** Requests that have not ended, the youngest ones. */
  inProgress: 1000,
  users: 25,
  /** Index images: names × tags. */
  names: 20,
  tags: 40,
} as const;

export const fromIndexNamed = (name: number, tag: number) => `registry.example.com/catalogs/index-${name}:v4.${tag}`;
export const indexImageOf = (id: number) => `registry.example.com/out/iib-build:${id}`;
export const fragmentOf = (id: number) => `registry.example.com/fragments/operator-${id % 5000}:${id}`;

/**
 * Fills a migrated, empty database with requests 1 to `count`: batches, payloads, histories of three states, pull specs.
 * A third are `add`s, a third `rm`s, a third `fbc-operations`; one in eight has failed.
 */
export async function seed(databaseUrl: string, count: number): Promise<void> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    // Triggers and foreign keys are obeyed by the data; checking each would take longer than all the rest.
    await client.query(`set session_replication_role = replica; set synchronous_commit = off;
      set maintenance_work_mem = '256MB'; set max_parallel_maintenance_workers = 2`);
    const indexes = await takeIndexes(client);
    await client.query(`insert into batches (id) select generate_series(1, $1::int)`, [count]);
    await client.query(REQUESTS, [count, SEED.inProgress, SEED.users, SEED.names, SEED.tags]);
    await client.query(`insert into request_states (request_id, state, state_reason, updated)
      select id, 'in_progress', 'The request was initiated', submitted from requests order by id`);
    await client.query(`insert into request_states (request_id, state, state_reason, updated)
      select id, 'in_progress', 'Waiting on KONFLUX build', submitted + interval '1 minute' from requests order by id`);
    await client.query(`insert into request_states (request_id, state, state_reason, updated)
      select id, state, state_reason, updated from requests where state <> 'in_progress' order by id`);
    await client.query(`insert into pull_specs (digest, spec, package)
      select sha256(convert_to(spec, 'UTF8')), spec, max(package) from (
        select from_index as spec, null as package from requests
        union all select index_image, null from requests where index_image is not null
        union all select bundle, 'operator-' || (id % 5000) from requests, jsonb_array_elements_text(payload -> 'bundles') as bundle
          where type = 'add'
      ) as known group by spec`);
    await client.query(`select setval('batches_id_seq', $1), setval('requests_id_seq', $1)`, [count]);
    for (const definition of indexes) await client.query(definition);
    await client.query('set session_replication_role = default');
    await client.query('vacuum analyze');
  } finally {
    await client.end();
  }
}

/** Drops the secondary indexes, which are made faster at once than row by row. @returns how to make them again */
async function takeIndexes(client: Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string; definition: string }>(
    `select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as definition from pg_index
     where indrelid in ('requests'::regclass, 'request_states'::regclass, 'pull_specs'::regclass) and not indisunique`,
  );
  for (const { name } of rows) await client.query(`drop index ${name}`);
  return rows.map(({ definition }) => definition);
}

const REQUESTS = `
insert into requests (id, batch_id, type, "user", payload, outcome, state, state_reason, submitted, updated, completed,
  submit_xid, final_xid, from_index, index_image)
select id, id, type, 'user-' || id % $3 || '@EXAMPLE.COM',
  jsonb_build_object('from_index', from_index, 'binary_image', null, 'distribution_scope', 'prod', 'build_tags', '[]'::jsonb,
    'add_arches', '[]'::jsonb, 'overwrite_from_index', overwrites) || case type
    when 'add' then jsonb_build_object(
      'bundles', jsonb_build_array('registry.example.com/bundles/operator-' || id % 5000 || ':' || id % 200000),
      'deprecation_list', '[]'::jsonb, 'check_related_images', null, 'graph_update_mode', null, 'organization', null)
    when 'rm' then jsonb_build_object('operators', jsonb_build_array('operator-' || id % 5000))
    else jsonb_build_object('fbc_fragment', null,
      'fbc_fragments', jsonb_build_array('registry.example.com/fragments/operator-' || id % 5000 || ':' || id)) end,
  case when over then jsonb_build_object('arches', '["amd64","arm64","ppc64le","s390x"]'::jsonb, 'index_image', index_image,
    'index_image_resolved', 'registry.example.com/out/iib-build@sha256:' || md5(id::text) || md5(id::text)) else '{}' end,
  case when not over then 'in_progress' when failed then 'failed' else 'complete' end,
  case when not over then 'The request was initiated' when failed then 'The pipeline failed' else 'The index was changed' end,
  submitted, case when over then submitted + interval '5 minutes' else submitted end,
  case when over then submitted + interval '5 minutes' end,
  pg_current_xact_id(), case when over then pg_current_xact_id() end, from_index, case when over then index_image end
from (
  select id, (array['add', 'rm', 'fbc-operations'])[1 + id % 3] as type, id <= $1 - $2 as over, id % 8 = 0 as failed,
    id % 2 = 0 as overwrites, now() - ($1 - id) * interval '30 seconds' as submitted,
    'registry.example.com/catalogs/index-' || id % $4 || ':v4.' || (id / $4) % $5 as from_index,
    case when id % 2 = 0 then 'registry.example.com/catalogs/index-' || id % $4 || ':v4.' || (id / $4) % $5
      else 'registry.example.com/out/iib-build:' || id end as index_image
  from generate_series(1, $1::int) as id
) as seeded`;

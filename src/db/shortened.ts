import { type SQL, sql } from 'drizzle-orm';

/**
 * Bytes of stored content that an answer about one request shows, more than any accepted body has. Older rows may have
 * more; they are cut where they are stored, so that no process has to hold them.
 */
export const ANSWER_BYTES = 5 * 1024 * 1024;

/** Bytes of stored content on a page of requests; each has an equal share. */
const PAGE_BYTES = 4 * 1024 * 1024;

/** Characters of a reason; the limit of PATCH is the same. */
const REASON = 65_536;

/** Of a list that is cut: the items that stay and the characters of each. */
const ITEMS = 50;
const ITEM = 200;

/** Bytes of stored content that a page shows of each of its requests. @param limit requests on the page */
export const shareOf = (limit: number): number => Math.max(Math.floor(PAGE_BYTES / limit), 65_536);

const number = (value: number) => sql.raw(`${Math.floor(value)}`);

/**
 * The JSON object in `column` if it has at most `bytes`; else with its long fields cut. A cut field keeps its type and
 * says `[cut: …]`, because clients read every key. What is measured is Postgres' binary form, since writing the text of
 * 20 rows of 16 MB took seconds; it is as long as the content, where the text may have escapes.
 */
export function shortened(column: unknown, bytes: number): SQL<unknown> {
  const field = number(bytes / 16);
  return sql`case when pg_column_size(${column} || '{}') <= ${number(bytes)} then ${column} else (
    select jsonb_object_agg(key, case
      when pg_column_size(value) <= ${field} then value
      when key = 'omps_operator_version'
        then to_jsonb(format('{"[cut]":"%s characters"}', length(value #>> '{}')))
      when jsonb_typeof(value) = 'string'
        then to_jsonb(left(value #>> '{}', ${field} / 4) || format(' [cut: %s characters]', length(value #>> '{}')))
      when jsonb_typeof(value) = 'array' then (
        select jsonb_agg(case when length(item) <= ${number(ITEM)} then item else left(item, ${number(ITEM)}) || ' [cut]' end)
          || to_jsonb(format('[cut: %s items in all]', jsonb_array_length(value)))
        from jsonb_array_elements_text(jsonb_path_query_array(value, ${sql.raw(`'$[0 to ${ITEMS - 1}]'`)})) as first(item))
      else jsonb_build_object('[cut]', format('%s bytes', pg_column_size(value))) end)
    from jsonb_each(${column})) end`;
}

/** JSON text of an object if it has at most `bytes`, else that of an object that says how long it is. */
export function shortenedText(column: unknown, bytes: number): SQL<string | null> {
  return sql`case when octet_length(${column}) <= ${number(bytes)} then ${column}
    when ${column} is not null then format('{"[cut]":"%s bytes"}', octet_length(${column})) end`;
}

/** A reason with at most `REASON` characters of it. */
export function shortenedReason(column: unknown): SQL<string> {
  return sql`case when length(${column}) <= ${number(REASON)} then ${column}
    else left(${column}, ${number(REASON)}) || format(' [cut: %s characters]', length(${column})) end`;
}

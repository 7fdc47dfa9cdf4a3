import fc from 'fast-check';
import { BATCHES } from '../../../src/requests/batches.ts';
import { isObject } from '../../../src/requests/checks.ts';

type Body = Record<string, unknown>;

/** A request to be sent: its parts are as wrong as chance wants. */
export interface Shot {
  method: 'POST' | 'PATCH' | 'GET';
  /** `{id}` stands for a stored request. */
  path: string;
  user: string | undefined;
  /** The body as text. */
  raw?: string;
  contentType?: string;
}

const SPECS = ['reg.example.com/a:1', 'reg.example.com/b@sha256:0f', 'scratch', 'x:y', 'localhost:5000/ns/i:v4.19'];
const spec = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...SPECS) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme' }).map((text) => `${text}:t`) },
);
const specs = fc.array(spec, { maxLength: 4 });
const text = fc.string({ minLength: 1, unit: 'grapheme' });
const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });

const block = {
  from_index: spec,
  binary_image: spec,
  add_arches: some(fc.array(fc.constantFrom('amd64', 's390x'), { maxLength: 3 })),
  distribution_scope: some(fc.constantFrom('prod', 'Stage', 'DEV')),
  build_tags: some(fc.array(text, { maxLength: 3 })),
};
/** Half of the requests overwrite, most of those with a token. */
const withOverwrite = (body: fc.Arbitrary<Body>, index: 'from_index' | 'target_index' = 'from_index') =>
  fc.tuple(body, fc.constantFrom('none', 'none', 'token', 'token', 'bare')).map(([given, way]) => ({
    ...given,
    ...(way === 'none' ? {} : { [`overwrite_${index}`]: true }),
    ...(way === 'token' ? { [`overwrite_${index}_token`]: 'robot:secret' } : {}),
  }));
const auths = some(fc.constant({ auths: { 'reg.example.com': { auth: 'dTpw' } } }));
const replacements = some(fc.dictionary(text, text, { maxKeys: 3 }));
const add = withOverwrite(
  fc.record({
    ...block,
    bundles: fc.array(spec, { minLength: 1, maxLength: 4 }),
    deprecation_list: some(specs),
    check_related_images: some(fc.boolean()),
    organization: some(text),
    graph_update_mode: fc.constantFrom(undefined, undefined, undefined, 'replaces', 'semver'),
    cnr_token: some(text),
    force_backport: some(fc.boolean()),
  }),
);
const rm = withOverwrite(fc.record({ ...block, operators: fc.array(text, { minLength: 1, maxLength: 3 }) }));
const regenerate = fc.record({
  from_bundle_image: spec,
  bundle_replacements: replacements,
  organization: some(text),
  registry_auths: auths,
});

/** Bodies as clients should send them, by route. */
const GOOD: Record<string, fc.Arbitrary<Body>> = {
  add,
  rm,
  'regenerate-bundle': regenerate,
  'merge-index-image': withOverwrite(
    fc.record({
      source_from_index: spec,
      target_index: some(spec),
      deprecation_list: specs,
      binary_image: spec,
      distribution_scope: block.distribution_scope,
      build_tags: fc.array(text, { maxLength: 3 }),
      ignore_bundle_ocp_version: some(fc.boolean()),
    }),
    'target_index',
  ),
  'create-empty-index': fc.record({ from_index: spec, binary_image: spec, labels: replacements }),
  'recursive-related-bundles': fc.record({
    parent_bundle_image: spec,
    organization: some(text),
    registry_auths: auths,
  }),
  'fbc-operations': withOverwrite(
    fc.oneof(
      fc.record({ ...block, fbc_fragment: spec }),
      fc.record({ ...block, fbc_fragments: fc.array(spec, { minLength: 1, maxLength: 4 }) }),
    ),
  ),
  'add-deprecations': fc.record({
    ...block,
    operator_package: text,
    deprecation_schema: fc.json(),
  }),
  'regenerate-bundle-batch': batch(regenerate),
  'add-rm-batch': batch(fc.oneof(add, rm)),
};
if (Object.keys(BATCHES).some((name) => GOOD[name] === undefined)) throw new Error('a batch route has no payloads');

function batch(member: fc.Arbitrary<Body>): fc.Arbitrary<Body> {
  return fc.record({
    annotations: some(fc.dictionary(text, fc.jsonValue(), { maxKeys: 3 })),
    build_requests: fc.array(member, { minLength: 1, maxLength: 3 }),
  });
}

const patched = fc
  .record({
    arches: some(fc.array(fc.constantFrom('amd64', 'arm64'), { maxLength: 3 })),
    state: some(fc.constantFrom('in_progress', 'complete', 'failed')),
    state_reason: some(text),
    index_image: some(spec),
    from_index_resolved: some(spec),
    bundle_mapping: some(fc.dictionary(text, specs, { maxKeys: 2 })),
    fbc_fragments_resolved: some(specs),
    omps_operator_version: some(fc.json()),
    distribution_scope: some(text),
    bundle_image: some(spec),
    parent_bundle_image_resolved: some(spec),
    target_index_resolved: some(spec),
  })
  .chain((whole) =>
    fc.oneof(
      fc.constantFrom({ arches: whole.arches ?? [] }, { state: whole.state ?? 'failed', state_reason: 'because' }),
      fc.subarray(Object.entries(whole), { maxLength: 4 }).map((kept): Body => Object.fromEntries(kept)),
    ),
  );

const ODD = [
  null, false, true, 0, 1, -1.5, 1e300, '', ' ', '\0', '\ud800', '__proto__', [], {}, [''], [null], [[]], ['\0'],
  { a: 1 }, { '': '' }, 'no-tag', '@', ':', 'x'.repeat(5000), [1, 'a'], { auths: {} }, { auths: { r: { auth: 1 } } },
] as const; // biome-ignore format: a list
const junk = fc.oneof(fc.constantFrom<unknown>(...ODD), fc.jsonValue({ maxDepth: 3 }));
const KEYS = [
  'add_arches', 'annotations', 'arches', 'auths', 'binary_image', 'build_requests', 'build_tags', 'bundle_replacements',
  'bundles', 'cnr_token', 'deprecation_list', 'distribution_scope', 'fbc_fragment', 'fbc_fragments', 'from_index',
  'graph_update_mode', 'id', 'labels', 'operators', 'organization', 'output_fbc', 'overwrite_from_index',
  'overwrite_from_index_token', 'registry_auths', 'state', 'target_index', 'user', '__proto__', 'constructor', '',
]; // biome-ignore format: a list

type Change = (body: Body) => unknown;

const drop = fc.nat().map(
  (n): Change =>
    (body) =>
      Object.fromEntries(Object.entries(body).toSpliced(n % 12, 1)),
);
const replace = fc.tuple(fc.nat(), junk).map(
  ([n, value]): Change =>
    (body) =>
      Object.fromEntries(Object.entries(body).map(([key, old], at) => [key, at === n % 8 ? value : old])),
);
const set = fc.tuple(fc.constantFrom(...KEYS), junk).map(
  ([key, value]): Change =>
    (body) => ({ ...body, [key]: value }),
);
/** Changes one member of a batch; nothing in a body without members. */
const reach = fc.tuple(fc.nat(), fc.oneof(drop, replace, set)).map(
  ([n, inner]): Change =>
    (body) => {
      const { build_requests: members } = body;
      if (!Array.isArray(members)) return body;
      return {
        ...body,
        build_requests: members.map((member, at) => (at === n % 3 && isObject(member) ? inner(member) : member)),
      };
    },
);
const change: fc.Arbitrary<Change> = fc.oneof(
  drop,
  replace,
  set,
  reach,
  junk.map(
    (value): Change =>
      () =>
        value,
  ),
);

/** The text of a body: now and then with a piece cut out or doubled, or with bytes in it that JSON does not know. */
function written(body: fc.Arbitrary<unknown>): fc.Arbitrary<string> {
  const cut = fc.tuple(fc.nat({ max: 200 }), fc.constantFrom('', '"', '{', '\\', 'NaN', '1e400', '\u0000', ',', '[[['));
  return fc.tuple(body, fc.oneof({ weight: 11, arbitrary: fc.constant(null) }, cut)).map(([value, spoiled]) => {
    const whole = JSON.stringify(value) ?? '';
    return spoiled === null
      ? whole
      : (whole.slice(0, spoiled[0]) + spoiled[1] + whole.slice(spoiled[0] + 1)).toWellFormed();
  });
}

function mutated(good: fc.Arbitrary<Body>): fc.Arbitrary<unknown> {
  return fc.tuple(good, fc.oneof(fc.constant([]), fc.array(change, { maxLength: 2 }))).map(([body, changes]) => {
    let value: unknown = body;
    for (const apply of changes) if (isObject(value)) value = apply(value);
    return value;
  });
}

const user = fc.constantFrom(
  undefined,
  undefined,
  'alice@EXAMPLE.COM',
  'worker@EXAMPLE.COM',
  'worker@EXAMPLE.COM',
  'é',
);
const contentType = fc.oneof(
  { weight: 30, arbitrary: fc.constant('application/json') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('text/plain', 'application/x+json; charset=latin1', 'application/jsonx', ''),
  },
);

/** A POST on any route, or a PATCH. */
export const submission: fc.Arbitrary<Shot> = fc.oneof(
  ...Object.entries(GOOD).map(([route, good]) =>
    fc.record({
      method: fc.constant('POST' as const),
      path: fc.constant(`/api/v1/builds/${route}`),
      user,
      contentType,
      raw: written(mutated(good)),
    }),
  ),
  {
    weight: 3,
    arbitrary: fc.record({
      method: fc.constant('PATCH' as const),
      path: fc.oneof(
        { weight: 9, arbitrary: fc.constant('/api/v1/builds/{id}') },
        fc.constant('/api/v1/builds/999999999999'),
      ),
      user,
      contentType,
      raw: written(mutated(patched)),
    }),
  },
);

const value = fc.oneof(
  fc.constantFrom('1', '2', '0', '-1', ' 7 ', '+3', '1_0', '99999999999999999999', '', 'true', 'complete', 'failed'),
  fc.constantFrom(
    'add',
    'generic',
    'rm',
    'alice@EXAMPLE.COM',
    '%00',
    '%',
    '%zz',
    '%ff%fe',
    '%ed%a0%80',
    '+',
    '_',
    '%25',
  ),
  fc.constantFrom('2026-11-21', '2026-11-21T10:00:00Z', '2026-13-45', 'id', '-modified', 'submitted', 'yesterday'),
  spec.map(encode),
  fc.string({ unit: 'grapheme' }).map(encode),
);

/** Parameters of lists, known and unknown. */
const NAMES = [
  'page', 'per_page', 'verbose', 'state', 'batch', 'request_type', 'user', 'from_index', 'from_index_startswith',
  'index_image', 'fbc_fragment', 'order_by', 'submitted_before', 'submitted_after', 'modified_before', 'modified_after',
  'completed_before', 'completed_after', 'color', '__proto__',
]; // biome-ignore format: a list

function encode(raw: string): string {
  return encodeURIComponent(raw.toWellFormed());
}

/** A GET of a list with random parameters, or of something about one request. */
export const look: fc.Arbitrary<Shot> = fc.record({
  method: fc.constant('GET' as const),
  user,
  path: fc.oneof(
    {
      weight: 6,
      arbitrary: fc
        .array(fc.tuple(fc.constantFrom(...NAMES), value), { maxLength: 4 })
        .map((pairs) => `/api/v1/builds?${pairs.map(([name, given]) => `${name}=${given}`).join('&')}`),
    },
    fc
      .constantFrom('', '/logs', '/related_bundles', '/nested-bundles', '/deprecation-schema')
      .map((route) => `/api/v1/builds/{id}${route}`),
  ),
});

/** Bodies that do harm by their size or shape, each made when it is sent. */
export interface Hostile {
  name: string;
  method: 'POST' | 'PATCH' | 'GET';
  path: string;
  body?: () => string;
  headers?: Record<string, string>;
  /** The answer's status. */
  status: number;
  /** A part of its error; none for 2xx. */
  error?: string;
}

const block = { from_index: 'reg.example.com/index:v4.19', binary_image: 'scratch' };
const rm = { ...block, operators: ['webapp'] };
const add = { ...block, bundles: ['reg.example.com/b:1'] };
const B = '/api/v1/builds';
const MALFORMED = 'could not understand';
const LARGE = 'capacity limit';

const post = (name: string, route: string, body: () => unknown, status: number, error?: string): Hostile => ({
  name,
  method: 'POST',
  path: `${B}/${route}`,
  body: () => {
    const made = body();
    return typeof made === 'string' ? made : JSON.stringify(made);
  },
  status,
  ...(error === undefined ? {} : { error }),
});

const specs = (count: number, length = 20) =>
  Array.from({ length: count }, (_, n) => `reg.example.com/${'x'.repeat(length)}:${n}`);
const batch = (annotations: string, members: number) =>
  `{"annotations":${annotations},"build_requests":[${Array.from({ length: members }, () => JSON.stringify(rm)).join()}]}`;
const escaped = (count: number) => '\\u00e9'.repeat(count);

/** Sent one after the other; those that are accepted stay, and are looked at by the last ones. */
export const HOSTILE: readonly Hostile[] = [
  post('8 MB of numbers in annotations', 'add-rm-batch', () => batch(`{"a":[${'1.0,'.repeat(2_000_000)}1]}`, 1), 413, LARGE),
  post('3 MB of numbers in annotations', 'add-rm-batch', () => batch(`{"a":[${'1.0,'.repeat(750_000)}1]}`, 1), 400, 'values'),
  post('one number of 3 MB', 'add-rm-batch', () => batch(`{"a":${'1'.repeat(3_000_000)}}`, 1), 400, 'bytes'),
  post('a fraction of 3 MB that is 0', 'add-rm-batch', () => batch(`{"a":0.${'0'.repeat(3_000_000)}}`, 1), 400, 'bytes'),
  post('annotations of 70 KB', 'add-rm-batch', () => batch(JSON.stringify({ a: 'x'.repeat(70_000) }), 1), 400, '"annotations" has'),
  post('60 KB of annotations for 1000 members', 'add-rm-batch', () => batch(JSON.stringify({ a: 'x'.repeat(60_000) }), 1000), 400, 'repeated'),
  post('4999 values of annotations for 100 members', 'add-rm-batch', () => batch(`{"a":[${'1.0,'.repeat(4990)}1]}`, 100), 201),
  post('annotations nested 200,000 deep', 'add-rm-batch', () => batch(`{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}`, 1), 400, MALFORMED),
  post('200,000 keys in annotations', 'add-rm-batch', () => batch(`{${Array.from({ length: 200_000 }, (_, n) => `"${n}":1`).join()}}`, 1), 400, 'values'),
  post('16 MB of organization', 'add', () => ({ ...add, organization: 'x'.repeat(16_000_000) }), 413, LARGE),
  post('4 MB of organization', 'add', () => ({ ...add, organization: 'x'.repeat(4_000_000) }), 400, '"organization" has'),
  post('900,000 bundles', 'add', () => ({ ...block, bundles: specs(900_000, 1) }), 413, LARGE),
  post('100,000 bundles', 'add', () => ({ ...block, bundles: specs(100_000, 1) }), 400, 'values'),
  post('5001 bundles', 'add', () => ({ ...block, bundles: specs(5001) }), 400, '"bundles" has 5001 items; at most 5000'),
  post('5000 bundles of 700 characters', 'add', () => ({ ...block, bundles: specs(5000, 680) }), 201),
  post('5000 bundles that are no pull specs', 'add', () => ({ ...block, bundles: Array(5000).fill('x'.repeat(700)) }), 400, 'tag or a digest'),
  post('a pull spec of 4 MB', 'add', () => ({ ...block, bundles: [`x:${'1'.repeat(4_000_000)}`] }), 400, 'An item of "bundles" has'),
  post('4 MB of é in a pull spec', 'rm', () => ({ ...rm, from_index: `x:${'é'.repeat(2_000_000)}` }), 400, '"from_index" has'),
  post('85 operators of 8000 é, escaped', 'rm', () => `{"from_index":"i:1","binary_image":"scratch","operators":[${Array.from({ length: 85 }, (_, n) => `"${n}${escaped(8000)}"`).join()}]}`, 201),
  post('200,000 build tags', 'rm', () => ({ ...rm, build_tags: Array.from({ length: 200_000 }, (_, n) => `t${n}`) }), 400, 'values'),
  post('101 build tags', 'rm', () => ({ ...rm, build_tags: Array.from({ length: 101 }, (_, n) => `t${n}`) }), 400, '"build_tags" has 101 items'),
  post('a build tag of 1 MB', 'rm', () => ({ ...rm, build_tags: ['t'.repeat(1_000_000)] }), 400, 'characters'),
  post('10,000 members', 'add-rm-batch', () => ({ build_requests: Array(10_000).fill(rm) }), 400, 'values'),
  post('1001 members', 'add-rm-batch', () => ({ build_requests: Array(1001).fill(rm) }), 400, '"build_requests" has 1001 items'),
  post('40,000 empty members', 'add-rm-batch', () => ({ build_requests: Array(40_000).fill({}) }), 400, 'values'),
  post('1000 members', 'add-rm-batch', () => ({ build_requests: Array(1000).fill(rm) }), 201),
  post('120 members of 5 MB', 'add-rm-batch', () => ({ build_requests: Array(4).fill({ ...add, organization: 'x'.repeat(5_000_000) }) }), 413, LARGE),
  post('a token of 15 MB', 'rm', () => ({ ...rm, overwrite_from_index: true, overwrite_from_index_token: 'x'.repeat(15_000_000) }), 413, LARGE),
  post('a token of 1 MB', 'rm', () => ({ ...rm, overwrite_from_index: true, overwrite_from_index_token: 'x'.repeat(1_000_000) }), 400, '"overwrite_from_index_token" has'),
  post('1 MB of one unknown parameter', 'rm', () => ({ ...rm, ['y'.repeat(1_000_000)]: 1 }), 400, 'invalid'),
  post('19,000 unknown parameters', 'rm', () => ({ ...rm, ...Object.fromEntries(Array.from({ length: 19_000 }, (_, n) => [`p${n}`, n])) }), 400, 'invalid'),
  post('15,000 labels', 'create-empty-index', () => ({ ...block, labels: Object.fromEntries(Array.from({ length: 15_000 }, (_, n) => [`l${n}`, ''])) }), 400, '"labels" has 15000 entries'),
  post('a label of 3 MB', 'create-empty-index', () => ({ ...block, labels: { a: 'x'.repeat(3_000_000) } }), 400, 'A value of "labels"'),
  post('6000 replacements', 'regenerate-bundle', () => ({ from_bundle_image: 'b:1', bundle_replacements: Object.fromEntries(specs(6000).map((spec) => [spec, spec])) }), 400, 'entries'),
  post('10,000 registries', 'regenerate-bundle', () => ({ from_bundle_image: 'b:1', registry_auths: { auths: Object.fromEntries(Array.from({ length: 9000 }, (_, n) => [`r${n}`, { auth: 'x' }])) } }), 400, 'entries'),
  post('a deprecation schema of 2 MB', 'add-deprecations', () => ({ ...block, operator_package: 'a', deprecation_schema: JSON.stringify('x'.repeat(2_000_000)) }), 400, '"deprecation_schema" has'),
  post('a deprecation schema of 500,000 values', 'add-deprecations', () => ({ ...block, operator_package: 'a', deprecation_schema: `[${'1,'.repeat(500_000)}1]` }), 201),
  post('4 MB of brackets', 'rm', () => '['.repeat(4_000_000), 400),
  post('4 MB of commas', 'rm', () => ','.repeat(4_000_000), 400),
  post('4 MB of quotes', 'rm', () => '"'.repeat(4_000_000), 400, MALFORMED),
  post('4 MB of backslashes', 'rm', () => `"${'\\'.repeat(3_999_999)}"`, 400, MALFORMED),
  post('4 MB of blanks', 'rm', () => ' '.repeat(4_000_000), 400, MALFORMED),
  { ...post('a reason of 4 MB', '1', () => ({ state: 'in_progress', state_reason: 'x'.repeat(4_000_000) }), 400, '"state_reason" has'), method: 'PATCH' },
  { ...post('a mapping of 19,000 packages', '1', () => ({ bundle_mapping: Object.fromEntries(Array.from({ length: 19_000 }, (_, n) => [`p${n}`, []])) }), 400, 'entries'), method: 'PATCH' },
  { ...post('a gzip bomb', 'rm', () => 'x'.repeat(100_000), 415, 'Content-Encoding'), headers: { 'content-encoding': 'gzip' } },
  { name: 'the first page', method: 'GET', path: `${B}?verbose=true`, status: 200 },
  { name: 'a page of everything', method: 'GET', path: `${B}?verbose=true&per_page=1000`, status: 200 },
  { name: 'an unknown pull spec of 12 KB', method: 'GET', path: `${B}?from_index=${'x'.repeat(12_000)}:1`, status: 400, error: 'not a valid index image' },
]; // biome-ignore format: a table

import fc from 'fast-check';

/** A fragment's package folder. */
export type Files = Record<string, Buffer>;

/** Text that YAML 1.1, YAML 1.2 and go-yaml may take for something else, or for the same in different ways. */
const ODD = [
  ...['e2345678', 'e2', 'E10', '-e5', '+.', '.', '.e1', '1e', '1e3', '1.e3', '.5', '5.', '-.5', '+1', '-0', '1e400'],
  ...['0644', '0o644', '0o17', '0x1F', '0b101', '1_000', '1_0.5', '1:20', '190:20:30', '12345678901234567890', '1e21'],
  ...[
    'yes',
    'No',
    'on',
    'OFF',
    'y',
    'n',
    'true',
    'True',
    'TRUE',
    'false',
    '~',
    'null',
    'Null',
    'NULL',
    '',
    '.nan',
    '.inf',
    '-.Inf',
  ],
  ...[
    '2020-01-02',
    '2020-1-2',
    '2020-01-02 03:04:05',
    '2001-12-14t21:59:43.10-05:00',
    '12:30:45',
    '=',
    '<<',
    '-',
    '?',
    ':',
    '#',
  ],
  ...[
    '"quoted"',
    "'single'",
    '"\\x41\\u00e9"',
    '"\\ud800"',
    '!!str 5',
    '!!int "5"',
    '!!float 3',
    '!!float x',
    '!!binary aGVsbG8=',
  ],
  ...[
    '!!binary "%"',
    '!!bool yes',
    '!!null x',
    '!custom x',
    '!!timestamp 2020-01-02',
    '&a x',
    '*a',
    '*none',
    '[a, b',
    '[a, b]',
  ],
  ...[
    '{a: b}',
    '{a: 1, a: 2}',
    '{? a}',
    '[a: b]',
    '- a',
    'a: b',
    '@x',
    '`x',
    '%x',
    '|',
    '>',
    "'it''s'",
    '"a\n  b"',
    'a\n  b',
  ],
  ...[
    '"a\nb"',
    '[a,\nb]',
    'caf\u00e9',
    '\u2028',
    '\u0085',
    '\ufeff',
    '\u{1f600}',
    '\t',
    'a\tb',
    'a #b',
    'a: ',
    'olm.package',
    'olm.bundle.object',
  ],
];

const oddScalar = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...ODD) },
  fc.stringMatching(/^[a-z0-9 .:_+-]{0,12}$/),
);
const harmless = fc.stringMatching(/^[a-z][a-z0-9]{0,8}$/);

const PACKAGE = { schema: 'olm.package', name: 'gadget', defaultChannel: 'stable' };

/** Documents of one sound package, with values that JSON has. */
const documents = fc
  .record({
    versions: fc.integer({ min: 1, max: 4 }),
    custom: fc.jsonValue({ maxDepth: 3 }),
    extra: fc.dictionary(
      fc.oneof(harmless, fc.constantFrom('Name', 'SCHEMA', 'olm.package', '1', '__proto__')),
      fc.jsonValue({ maxDepth: 2 }),
      { maxKeys: 2 },
    ),
    nulls: fc.subarray(['replaces', 'skips', 'skipRange', 'icon', 'relatedImages', 'description']),
    other: fc.boolean(),
  })
  .map(({ versions, custom, extra, nulls, other }): Record<string, unknown>[] => {
    const name = (at: number) => `gadget.v1.0.${at}`;
    const none = (...of: string[]) =>
      Object.fromEntries(of.filter((key) => nulls.includes(key)).map((key) => [key, null]));
    return [
      { ...PACKAGE, ...none('icon', 'description') },
      {
        schema: 'olm.channel',
        package: 'gadget',
        name: 'stable',
        entries: Array.from({ length: versions }, (_, at) => ({
          ...none('replaces', 'skips', 'skipRange'),
          name: name(at),
          ...(at === 0 ? {} : { replaces: name(at - 1) }),
        })),
      },
      ...Array.from({ length: versions }, (_, at) => ({
        schema: 'olm.bundle',
        package: 'gadget',
        name: name(at),
        image: `example.com/gadget:${at}`,
        properties: [
          { type: 'olm.package', value: { packageName: 'gadget', version: `1.0.${at}` } },
          { type: 'custom', value: custom },
        ],
        ...none('relatedImages'),
      })),
      ...(other ? [{ schema: 'custom', package: 'gadget', ...extra }] : []),
    ];
  });

const json = (indent: number | undefined) => (document: unknown) => JSON.stringify(document, null, indent);

/** One value as block YAML, its scalars in quotes where they are not plain words. */
function block(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    return value.length === 0
      ? ' []\n'
      : `\n${value.map((item) => `${indent}-${block(item, `${indent}  `)}`).join('')}`;
  }
  if (typeof value === 'object' && value !== null) {
    const entries = Object.entries(value);
    if (entries.length === 0) return ' {}\n';
    return `\n${entries.map(([key, item]) => `${indent}${scalar(key)}:${block(item, `${indent}  `)}`).join('')}`;
  }
  return value === null ? '\n' : ` ${scalar(value)}\n`;
}

const scalar = (value: unknown) =>
  typeof value === 'string' && /^[a-z][a-z0-9.]*$/.test(value) ? value : JSON.stringify(value);

const toYaml = (list: readonly Record<string, unknown>[]) =>
  list.map((document) => block(document, '').slice(1)).join('---\n');

/** Adds fields of odd text, as values and as keys, to a YAML text's documents. */
const oddYaml = fc
  .tuple(documents, fc.array(fc.tuple(oddScalar, oddScalar, fc.boolean()), { minLength: 1, maxLength: 3 }), fc.nat())
  .map(([list, odd, where]) => {
    const parts = toYaml(list).split('---\n');
    const at = where % parts.length;
    const lines = odd.map(([key, value, asKey], number) => (asKey ? `${key}: v${number}` : `extra${number}: ${value}`));
    parts[at] += `${lines.join('\n')}\n`;
    return parts.join('---\n');
  });

/** A text with a few bytes changed. */
const mutated = (text: fc.Arbitrary<string>) =>
  fc
    .tuple(
      text,
      fc.array(
        fc.tuple(
          fc.nat(),
          fc.constantFrom('delete', 'insert', 'replace', 'double'),
          fc.constantFrom(
            ...'{}[]"\',:-#&*!|>%@ \n\t\\0e.x',
            '\r\n',
            '---\n',
            '...\n',
            '\ufeff',
            '\u00e9',
            '<<: ',
            'null',
            '\x00',
            '\x07',
          ),
        ),
        { minLength: 1, maxLength: 2 },
      ),
    )
    .map(([given, changes]) =>
      changes.reduce((now, [place, kind, what]) => {
        const at = place % (now.length + 1);
        if (kind === 'delete') return now.slice(0, at) + now.slice(at + 1);
        if (kind === 'double') return now.slice(0, at) + now.slice(Math.max(0, at - 20));
        return now.slice(0, at) + what + now.slice(kind === 'insert' ? at : at + 1);
      }, given),
    );

const jsonText = fc
  .tuple(documents, fc.constantFrom(undefined, 2, 4), fc.constantFrom('', '\n', '\n\n \t'))
  .map(([list, indent, gap]) => list.map(json(indent)).join(gap));

/** JSON that JavaScript and Go may read differently. */
const oddJson = fc
  .tuple(
    jsonText,
    fc.constantFrom(
      '1.0',
      '-0',
      '1e400',
      '12345678901234567890',
      '1E+2',
      '"\\ud800"',
      '"\\u0000"',
      'NaN',
      '01',
      '+1',
      'tru',
      '{"a":1,"a":2}',
      '{"A":1,"a":2}',
      '[null]',
      `${'['.repeat(200)}${']'.repeat(200)}`,
    ),
  )
  .map(([text, value]) =>
    text.replace('{"schema"', `{"odd":${value},"schema"`).replace(/^\{\n/, `{"odd": ${value},\n`),
  );

const encoded = (text: fc.Arbitrary<string>) =>
  fc
    .tuple(text, fc.constantFrom('utf8', 'utf8', 'utf8', 'utf8', 'utf8', 'utf8', 'bom', 'latin1', 'utf16'))
    .map(([given, how]) => {
      if (how === 'bom') return Buffer.from(`\ufeff${given}`);
      if (how === 'latin1') return Buffer.from(given.replace('gadget', 'gadget\u00e9'), 'latin1');
      return Buffer.from(how === 'utf16' ? `\ufeff${given}` : given, how === 'utf16' ? 'utf16le' : 'utf8');
    });

/** A sound package over several files, whose names want to be one another's. */
const severalFiles = fc
  .tuple(
    documents,
    fc.uniqueArray(
      fc.constantFrom(
        'catalog.json',
        'catalog.yaml',
        'catalog.yml',
        'catalog.YAML',
        'catalog',
        'catalog-2.json',
        'a/catalog.yaml',
        '.x',
        'README.md',
      ),
      { minLength: 2, maxLength: 4 },
    ),
    fc.array(fc.boolean(), { minLength: 4, maxLength: 4 }),
  )
  .map(
    ([list, names, forms]): Files =>
      Object.fromEntries(
        names.map((name, at) => {
          const part = list.filter((_, number) => number % names.length === at);
          return [name, Buffer.from(forms[at] ? toYaml(part) : part.map(json(undefined)).join('\n'))];
        }),
      ),
  );

const oneFile = (content: fc.Arbitrary<Buffer>, ...names: [string, ...string[]]) =>
  fc.tuple(fc.constantFrom(...names), content).map(([name, bytes]): Files => ({ [name]: bytes }));

/** Catalogs as anybody may send them; about half of them are JSON. */
export const randomCatalog: fc.Arbitrary<Files> = fc.oneof(
  { weight: 6, arbitrary: oneFile(encoded(oddYaml), 'catalog.yaml', 'catalog.yml', 'catalog.json', 'catalog') },
  {
    weight: 3,
    arbitrary: oneFile(
      mutated(documents.map(toYaml)).map((text) => Buffer.from(text)),
      'catalog.yaml',
      'index.yml',
    ),
  },
  { weight: 2, arbitrary: severalFiles },
  { weight: 3, arbitrary: oneFile(encoded(jsonText), 'catalog.json', 'catalog.yaml', 'catalog.txt') },
  {
    weight: 3,
    arbitrary: oneFile(
      oddJson.map((text) => Buffer.from(text)),
      'catalog.json',
      'catalog.yaml',
    ),
  },
  {
    weight: 3,
    arbitrary: oneFile(
      mutated(jsonText).map((text) => Buffer.from(text)),
      'catalog.json',
      'catalog.yaml',
    ),
  },
);

/** Fragments of the package `gadget` as people and tools write them, and what opm makes of each. */
export interface OddCatalog {
  name: string;
  /** By their names in the package's folder. */
  files: Record<string, string | Buffer>;
  /** How many documents opm serves, or what the request is refused with. */
  outcome: number | RegExp;
}

const BOM = '\ufeff';

const PACKAGE = 'schema: olm.package\nname: gadget\ndefaultChannel: stable\n';
const channel = (...lines: string[]) =>
  ['schema: olm.channel', 'package: gadget', 'name: stable', 'entries:', '- name: gadget.v1.0.0', ...lines, ''].join(
    '\n',
  );
const bundle = (version = '1.0.0', ...lines: string[]) =>
  [
    'schema: olm.bundle',
    'package: gadget',
    `name: gadget.v${version}`,
    `image: quay.io/example/gadget-bundle@sha256:${'10'.repeat(32)}`,
    'properties:',
    '- type: olm.package',
    `  value: {packageName: gadget, version: ${version}}`,
    ...lines,
    '',
  ].join('\n');
const yaml = (...documents: string[]) => documents.join('---\n');
const sound = yaml(PACKAGE, channel(), bundle());
const latin1 = (text: string) => Buffer.from(text, 'latin1');

const json = (value: unknown) => JSON.stringify(value);
const PACKAGE_JSON = { schema: 'olm.package', name: 'gadget', defaultChannel: 'stable' };
const BUNDLE_JSON = {
  schema: 'olm.bundle',
  package: 'gadget',
  name: 'gadget.v1.0.0',
  image: `quay.io/example/gadget-bundle@sha256:${'10'.repeat(32)}`,
  properties: [{ type: 'olm.package', value: { packageName: 'gadget', version: '1.0.0' } }],
};
const channelJson = (entry: object) => ({
  schema: 'olm.channel',
  package: 'gadget',
  name: 'stable',
  entries: [{ name: 'gadget.v1.0.0', ...entry }],
});

const versions = Array.from({ length: 120 }, (_, patch) => `1.0.${patch}`);

/** The kinds that were met first. */
export const FAULTS: OddCatalog[] = [
  {
    name: 'text that looks like an exponent',
    files: {
      'catalog.yaml': yaml(
        PACKAGE.replace('stable', 'e2').concat('description: e2345678\n'),
        channel().replace('stable', 'e2'),
        bundle(
          '1.0.0',
          '- type: custom',
          '  value: {commit: e2345678, e2: a, E2: b, maturity: ., keywords: [e2, -e5, +., .e1, 1e, e]}',
        ),
      ),
    },
    outcome: 3,
  },
  {
    name: 'replaces without a value',
    files: { 'catalog.yaml': yaml(PACKAGE, channel('  replaces:'), bundle()) },
    outcome: 3,
  },
  {
    name: 'skipRange null',
    files: { 'catalog.yaml': yaml(PACKAGE, channel('  skipRange: null'), bundle()) },
    outcome: 3,
  },
  {
    name: 'skips null in JSON',
    files: {
      'catalog.json': [PACKAGE_JSON, channelJson({ replaces: null, skips: null }), BUNDLE_JSON].map(json).join('\n'),
    },
    outcome: 3,
  },
  {
    name: 'a reference without a name',
    files: {
      'catalog.yaml': sound,
      'deprecations.yaml':
        'schema: olm.deprecations\npackage: gadget\nentries:\n- reference:\n    schema: olm.package\n    name:\n  message: old\n',
    },
    outcome: 4,
  },
  {
    name: 'an anchor used 120 times',
    files: {
      'catalog.yaml': yaml(
        PACKAGE,
        channel(
          '  skips: &old [gadget.v0.1.0, gadget.v0.2.0]',
          ...versions
            .slice(1)
            .flatMap((version, at) => [
              `- name: gadget.v${version}`,
              `  replaces: gadget.v${versions[at]}`,
              '  skips: *old',
            ]),
        ),
        ...versions.map((version) => bundle(version)),
      ),
    },
    outcome: 122,
  },
  {
    name: 'a byte order mark before the text and between documents',
    files: { 'catalog.yaml': BOM + yaml(PACKAGE, BOM + channel(), bundle()) },
    outcome: 3,
  },
  {
    name: 'a byte of Latin-1',
    files: { 'catalog.yaml': latin1(yaml(`${PACKAGE}description: caf\xe9\n`, channel(), bundle())) },
    outcome: /^The catalog file gadget\/catalog\.yaml is not valid: it is not UTF-8 text; save it as UTF-8$/,
  },
  {
    name: 'files of one stem',
    files: {
      'catalog.json': [PACKAGE_JSON, channelJson({}), BUNDLE_JSON].map(json).join('\n'),
      'catalog.yaml': yaml(
        channel().replace('stable', 'candidate').replace('v1.0.0', 'v2.0.0'),
        bundle('2.0.0').replace('10'.repeat(32), '20'.repeat(32)),
      ),
    },
    outcome: 5,
  },
  {
    name: 'numbers and bytes of YAML 1.1 and 1.2',
    files: {
      'catalog.yaml': yaml(
        PACKAGE,
        channel(),
        bundle(
          '1.0.0',
          '- type: custom',
          '  value: {a: 0o644, b: 0644, c: !!binary aGVsbG8=, d: !!float 3, e: 1_000, f: 1:20, g: yes, h: 2020-01-02, i: ~, 1: x, 0o17: y, true: z}',
        ),
      ),
    },
    outcome: 3,
  },
];

/** More of the same kinds. */
export const KIN: OddCatalog[] = [
  { name: 'a file without an extension', files: { catalog: sound }, outcome: 3 },
  {
    name: 'files of any name',
    files: {
      'package.txt': PACKAGE,
      'channel.json5': json(channelJson({})),
      '.hidden': bundle(),
      'deep/er/extra.YML': 'schema: custom\npackage: gadget\n',
    },
    outcome: 4,
  },
  {
    name: 'three files that want one name',
    files: {
      'a.json': json(PACKAGE_JSON),
      'a.yaml': channel(),
      'a.YAML': bundle(),
      'a-2.json': json({ schema: 'custom' }),
    },
    outcome: 4,
  },
  { name: 'YAML named JSON', files: { 'catalog.json': sound }, outcome: 3 },
  {
    name: 'JSON named YAML',
    files: {
      'catalog.yaml': [PACKAGE_JSON, channelJson({}), BUNDLE_JSON]
        .map((blob) => JSON.stringify(blob, null, 2))
        .join('\n'),
    },
    outcome: 3,
  },
  {
    name: 'fields in other cases',
    files: {
      'catalog.json': [
        { SCHEMA: 'olm.package', Name: 'gadget', DEFAULTCHANNEL: 'stable' },
        {
          schema: 'olm.channel',
          Package: 'gadget',
          name: 'stable',
          Entries: [{ NAME: 'gadget.v1.0.0', Replaces: null }],
        },
        BUNDLE_JSON,
      ]
        .map(json)
        .join(''),
    },
    outcome: 3,
  },
  {
    name: 'a key twice in JSON and in YAML',
    files: {
      'catalog.json': json(PACKAGE_JSON).replace('"gadget"', '"other","name":"gadget"'),
      'rest.yaml': yaml(channel().replace('name: stable', 'name: slow\nname: stable'), bundle()),
    },
    outcome: 3,
  },
  {
    name: 'merge keys and anchors of one document',
    files: {
      'catalog.yaml': yaml(
        PACKAGE,
        channel(),
        bundle(
          '1.0.0',
          '- &first',
          '  type: custom',
          '  value: {a: &x [1, 2], b: *x}',
          '- <<: *first',
          '  type: custom.two',
        ),
      ),
    },
    outcome: 3,
  },
  {
    name: 'all kinds of null',
    files: {
      'catalog.json': [
        { ...PACKAGE_JSON, icon: null, description: null, properties: null },
        { ...channelJson({ skipRange: null, skips: null }), properties: null },
        { ...BUNDLE_JSON, relatedImages: null },
      ]
        .map(json)
        .join('\n'),
    },
    outcome: 3,
  },
  {
    name: 'Windows line ends and tabs after values',
    files: { 'catalog.yaml': sound.replaceAll('\n', '\r\n') },
    outcome: 3,
  },
  {
    name: 'quoted text that goes on at column 0',
    files: { 'catalog.yaml': yaml(PACKAGE, channel(), `${bundle()}description: "one\ntwo"\nlist: [a,\nb]\n`) },
    outcome: 3,
  },
  {
    name: 'schemas in quotes, with escapes',
    files: { 'catalog.yaml': yaml(PACKAGE.replace('olm.package', '"olm\\x2epackage"'), channel(), bundle()) },
    outcome: 3,
  },
  {
    name: 'large and odd numbers',
    files: {
      'catalog.yaml': yaml(
        PACKAGE,
        channel(),
        bundle('1.0.0', '- type: custom', '  value: [12345678901234567890, 1e21, -0.0, 1.0, 0x1F]'),
      ),
    },
    outcome: 3,
  },
  {
    name: 'a document of opm without a package',
    files: { 'catalog.yaml': yaml(PACKAGE, channel(), bundle(), 'schema: custom\nname: everywhere\n') },
    outcome: 4,
  },
  {
    name: 'text of another program',
    files: { 'catalog.yaml': sound, 'README.md': '# Gadget\n\nHello.\n' },
    outcome: /^The catalog file gadget\/README\.md is not valid: error unmarshaling JSON: .*cannot unmarshal string/s,
  },
  {
    name: 'UTF-16',
    files: { 'catalog.yaml': Buffer.from(BOM + sound, 'utf16le') },
    outcome: /^The catalog file gadget\/catalog\.yaml is not valid: it is not UTF-8 text/,
  },
  {
    name: 'Latin-1 in JSON, which opm would rewrite',
    files: {
      'catalog.json': latin1(
        [{ ...PACKAGE_JSON, description: 'caf\xe9' }, channelJson({}), BUNDLE_JSON].map(json).join('\n'),
      ),
    },
    outcome: /^The catalog file gadget\/catalog\.json is not valid: it is not UTF-8 text/,
  },
  {
    name: 'infinity',
    files: { 'catalog.yaml': yaml(PACKAGE, channel(), bundle('1.0.0', '- type: custom', '  value: .inf')) },
    outcome:
      /^The catalog file gadget\/catalog\.yaml is not valid: error converting YAML to JSON: json: unsupported value/,
  },
  {
    name: 'a number that no float holds',
    files: {
      'catalog.json': [PACKAGE_JSON, channelJson({}), BUNDLE_JSON]
        .map(json)
        .join('')
        .replace('"properties"', '"x":1e400,"properties"'),
    },
    outcome: /^The catalog file gadget\/catalog\.json is not valid: .*1e400/s,
  },
  {
    name: 'two documents, one of them broken, in a file of its own name',
    files: { 'catalog.yaml': sound, 'more/extra.yml': 'schema: [' },
    outcome: /^The catalog file gadget\/more\/extra\.yml is not valid: error converting YAML to JSON/,
  },
  {
    name: 'skips that are no list, in YAML',
    files: { 'catalog.yaml': yaml(PACKAGE, channel('  skips: 5'), bundle()) },
    outcome: /^The catalog file gadget\/catalog\.yaml is not valid: parse channel: json: cannot unmarshal number/,
  },
  {
    name: 'an icon that is no base64, which the service does not look at',
    files: {
      'a.yaml': `${PACKAGE}icon: {base64data: "%%", mediatype: image/png}\n`,
      'b.yaml': yaml(channel(), bundle()),
    },
    outcome: /^The catalog file gadget\/a\.yaml is not valid: parse package: illegal base64 data/,
  },
  {
    name: 'a key in two cases',
    files: { 'catalog.json': [PACKAGE_JSON, { ...channelJson({}), Name: 'x' }, BUNDLE_JSON].map(json).join('') },
    outcome: /^The catalog file gadget\/catalog\.json is not valid: duplicate keys for key "name"/,
  },
  {
    name: 'JSON that ends too early, which is nothing that passes',
    files: { 'catalog.json': json(PACKAGE_JSON).slice(0, -1) },
    outcome: /^The catalog file gadget\/catalog\.json is not valid: unexpected EOF$/,
  },
  {
    name: 'something after a JSON document',
    files: { 'catalog.json': `${json(PACKAGE_JSON)} and more` },
    outcome: /^The catalog file gadget\/catalog\.json is not valid: json: offset \d+: invalid character/,
  },
  {
    name: 'aliases that multiply',
    files: {
      'catalog.yaml': yaml(
        PACKAGE,
        channel(),
        bundle(),
        [
          'schema: custom',
          'a: &a [x,x,x,x,x,x,x,x,x,x]',
          ...[...'bcdefgh'].map((key, at) => `${key}: &${key} [${Array(10).fill(`*${'abcdefg'[at]}`).join(',')}]`),
          '',
        ].join('\n'),
      ),
    },
    outcome:
      /^The catalog file gadget\/catalog\.yaml is not valid: error converting YAML to JSON: yaml: document contains excessive aliasing/,
  },
  {
    name: 'nesting that no stack holds',
    files: { 'catalog.yaml': yaml(PACKAGE, channel(), bundle(), `schema: custom\na: ${'['.repeat(100_000)}\n`) },
    outcome:
      /^The catalog file gadget\/catalog\.yaml is not valid: error converting YAML to JSON: yaml: .*exceeded max depth/,
  },
  {
    name: 'a file that hides others',
    files: { 'catalog.yaml': sound, 'x/.indexignore': '*\n' },
    outcome: /^The fragment has gadget\/x\/\.indexignore, which would hide a part of it/,
  },
];

import { readFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { objectOpmReads } from '../../src/bundle/opm-object.ts';
import { decodeUtf8, readYaml, YamlRefused, yamlDocuments } from '../../src/bundle/yaml.ts';
import { SOAK } from '../support/soak.ts';
import { noRealBundles, unpackBundles } from './real-bundles.ts';
import { type Answer, askOracle, canonical } from './yaml-oracle.ts';
import { randomYaml } from './yaml-texts.ts';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/bundles');

/** The first document as we read it. */
function read(text: string): Answer {
  try {
    const first = yamlDocuments(text, { repeatedKeys: 'last wins' }).next();
    return { json: first.done ? null : first.value.value };
  } catch (thrown) {
    if (thrown instanceof YamlRefused) return { error: thrown.message };
    throw thrown;
  }
}

/** Where opm takes what we refuse, on purpose (docs/bundles.md). */
const DECISIONS: readonly { why: string; holds(text: string, error: string): boolean }[] = [
  { why: 'bytes that are no text', holds: (_, error) => error.includes('!!binary is not UTF-8') },
  { why: 'go-yaml loses characters', holds: (text) => text.startsWith('\ufeff\ufeff') },
  {
    why: 'go-yaml ends the document before an empty collection that is a key',
    holds: (text) => /\{[^\w]*\}|\[[^\w]*\]/.test(text),
  },
];

interface Difference {
  text: string;
  ours: Answer;
  theirs: Answer;
}

async function differences(
  texts: readonly string[],
): Promise<{ different: Difference[]; taken: number; decided: number }> {
  const answers = await askOracle(
    'document',
    texts.map((text) => Buffer.from(text)),
  );
  const result = { different: [] as Difference[], taken: 0, decided: 0 };
  for (const [index, text] of texts.entries()) {
    const [ours, theirs] = [read(text), answers[index] as Answer];
    if ('json' in ours && 'json' in theirs) {
      result.taken += 1;
      if (canonical(ours.json) === canonical(theirs.json)) continue;
    } else if ('error' in ours && 'error' in theirs) continue;
    else if ('error' in ours && DECISIONS.some(({ holds }) => holds(text, ours.error))) {
      result.decided += 1;
      continue;
    }
    result.different.push({ text, ours, theirs });
  }
  return result;
}

const SCALARS = [
  ...[
    'e2345678',
    '1e5',
    'e2',
    '1e',
    '.',
    '..',
    '.e1',
    '1.',
    '.5',
    '.5_1',
    '._5',
    '5.',
    '+.5',
    '-.5e-3',
    '1e999',
    '-1e400',
    '1e-999',
  ],
  ...[
    '0o644',
    '0O7',
    '0644',
    '08',
    '0x1F',
    '0xg',
    '0b101',
    '0b2',
    '0b-1',
    '-0b11',
    '1_000',
    '1__0',
    '_1',
    '12_',
    '+1',
    '-0',
    '-0.0',
  ],
  ...[
    '9007199254740993',
    '9223372036854775808',
    '18446744073709551615',
    '18446744073709551616',
    '-9223372036854775808',
  ],
  ...[
    '-9223372036854775809',
    '0.1',
    '123456789.123456789',
    '1e21',
    '1e-7',
    '12345678901234567890.5',
    '1:30',
    '190:20:30',
  ],
  ...[
    '~',
    'null',
    'Null',
    'nUll',
    'y',
    'Y',
    'n',
    'N',
    'yes',
    'Yes',
    'yEs',
    'no',
    'on',
    'ON',
    'off',
    'true',
    'TRUE',
    'tRue',
  ],
  ...[
    '2020-01-01',
    '2020-13-01',
    '2001-12-14t21:59:43.10-05:00',
    '2001-12-14 21:59:43.10 -5',
    '=',
    '<<',
    '-',
    '+',
    '--1',
  ],
  ...['!!str 1', '!!str', '!!int "3"', '!!int 3.5', '!!int x', '!!float 3', '!!float 0x10', '!!float x', '!!bool yes'],
  ...['!!bool 1', '!!null ""', '!!null x', '!!binary YWJj', '!!binary "Y W"', '!!binary YWJ', '!!timestamp 2020-01-01'],
  ...[
    '!!timestamp 2020-02-30',
    '!!timestamp x',
    '! 5',
    '! "5"',
    '!local x',
    '!<tag:yaml.org,2002:int> 7',
    '!!set {a}',
    '!!map {a: 1}',
  ],
];

const TEXTS = [
  ...[
    'a: 1\na: 2',
    '{a: 1, a: 2}',
    '1: a\n"2": b',
    '? [a]\n: b',
    '{a: 1}: b',
    '~: 1',
    'a: .nan',
    'a: .inf\na: 1',
    '.inf: 1',
  ],
  ...[
    '1e3: a',
    '0.1: a',
    '16777217.0: a',
    '1e-5: a',
    '18446744073709551615: a',
    'y: 1',
    '0x10: a',
    '2020-01-01: a',
    '!!str 1: a',
  ],
  ...['a: &x 1\nb: *x', 'a: *x', '&a [*a]', 'a: &a {b: *a}', '&a a: *a', 'a: &x 1\nb: &x 2\nc: *x', 'a: &x\nb: *x'],
  ...[
    'a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  b: 3',
    'a: &x {b: 1}\nd:\n  b: 3\n  <<: *x',
    '<<: [{a: 1}, {a: 2, b: 2}]',
    '<<: 1',
    '"<<": 1',
  ],
  ...[
    'a: "x\ny"',
    "a: 'x\n\ny'",
    'a: [b,\nc]',
    'a: {b: c,\nd: e}',
    'a: "x\n--- y"',
    'a: [b\n]',
    'k: [a\n, b]\nl: 1',
    'a: "x\n\ty"',
  ],
  ...[
    '\ufeffa: 1',
    'a: 1\n\ufeffb: 2',
    'a: \ufeffx',
    '\ta: 1',
    'a:\t1',
    'a: 1\t# c',
    '- \ta',
    'a:\n\tb: 1',
    'a: |\n\tx',
    'a: [\t1,\n\t2]',
  ],
  ...[
    'a: "\0"',
    'a: "\\0"',
    'a: \u0001',
    'a: \u007f',
    'a: "\\ud83d\\ude00"',
    'a: "\\/"',
    'a: "\\U0001F600"',
    'a: \ufffe',
    'a: \u0085b',
  ],
  ...[
    '%YAML 1.1\n---\na: 1',
    '%YAML 1.2\n---\na: 1',
    '%YAML 1.1\n%YAML 1.1\n---\na',
    '%FOO x\n---\na: 1',
    '%TAG !e! tag:yaml.org,2002:\n---\na: !e!int 1',
  ],
  ...[
    'a: b: c',
    'a: - b',
    '- a: 1\n b: 2',
    'a:\n- b\n c',
    'a: @b',
    'a: `b',
    'a: %b',
    'a: b #c',
    'a: b#c',
    "a: 'b' c",
    'a: "b',
    'a: [b',
    'a: {b',
  ],
  ...[
    'a: |\n  x\n y',
    'a: |2\n   x',
    'a: |0\n  x',
    'a: >-\n  x\n  y\n\n  z\n',
    'a: |+\n  x\n\n',
    'a: >\n  x\n   y\n  z',
    'a: |\n',
    '|\n x',
  ],
  ...[
    '',
    '\n',
    '# c',
    '---',
    '--- a',
    '...',
    'a: 1\n...\nb: [',
    'a: 1\n---\nb: [',
    '--- |\n x',
    '- - - a',
    '? a\n? b',
    '{? a: b}',
    '[a: b, ? c]',
  ],
  ...[
    'a: b\r\nc: d\r\n',
    'a: b\rc: d',
    `${'k'.repeat(1025)}: v`,
    `"${'k'.repeat(1030)}": v`,
    `[a: ${'k'.repeat(2000)}]`,
    '__proto__: {a: 1}',
  ],
];

describe('opm reads', () => {
  test('every kind of scalar as we do, as a value and as a key', async () => {
    const texts = SCALARS.flatMap((scalar) => [`a: ${scalar}`, `- ${scalar}\n- [${scalar}]`, `${scalar}: a`]);
    expect((await differences(texts)).different).toEqual([]);
  });

  test('every form as we do', async () => {
    expect((await differences(TEXTS)).different).toEqual([]);
  });

  test(`random texts as we do`, async () => {
    const [seed, count] = SOAK ? [1, 30_000] : [2, 500];
    const { different, taken, decided } = await differences(randomYaml(seed, count, exampleCsvs()));
    expect(different).toEqual([]);
    expect(taken).toBeGreaterThan(count / 5);
    expect(decided).toBeLessThan(count / 50);
  }, 600_000);

  test('files as we do: JSON, separators, line ends, what is not UTF-8', async () => {
    const csv = 'kind: ClusterServiceVersion\nmetadata:\n  name: a\n';
    const json = '{"kind": "X", "a": "\\/\\ud83d\\ude00", "a": 2}';
    const bytes = [
      ...[
        csv,
        `${csv}---\nkind: Y\n`,
        `---\n${csv}`,
        `# c\n---\n${csv}`,
        `${csv}--- x\n`,
        `${csv}---- \n`,
        `${csv}---# c\n[`,
      ],
      ...[
        csv.replaceAll('\n', '\r\n'),
        `${csv}d: |\n  x`,
        `\ufeff${csv}`,
        `${csv}---\n\ufeff${csv}`,
        '',
        '---\n',
        '\n\n',
      ],
      ...[
        json,
        `${json} trailing`,
        `\n\t ${json}`,
        `${' '.repeat(40)}${json}`,
        '{"kind": "X", "a": [1,]}',
        '{kind: X}',
        '{"kind": "X"',
      ],
    ].map((text) => Buffer.from(text));
    bytes.push(Buffer.from(`\ufeff${csv}`, 'utf16le'));
    bytes.push(Buffer.concat([Buffer.from(csv), Buffer.from([0x62, 0x3a, 0x20, 0xe9, 0x0a])]));
    const answers = await askOracle('manifest', bytes);
    for (const [index, text] of bytes.entries()) {
      expect(object(text), text.toString()).toBe(theirObject(answers[index] as Answer));
    }
  });

  test.runIf(SOAK && !noRealBundles)(
    'all manifests of real bundles as we do',
    async () => {
      const files = await realManifests();
      const answers = await askOracle(
        'manifest',
        files.map(({ bytes }) => bytes),
      );
      const different = files.filter(({ bytes }, index) => object(bytes) !== theirObject(answers[index] as Answer));
      expect(different.map(({ path }) => path)).toEqual([]);
      expect(files.length).toBeGreaterThan(3000);
    },
    600_000,
  );
});

/** A manifest without a kind is none to opm, which passes it over. */
function object(bytes: Buffer): string {
  const read = objectOpmReads(bytes);
  const isObject = typeof read === 'object' && read !== null && 'kind' in read && typeof read.kind === 'string';
  return isObject && read.kind !== '' ? canonical(read) : 'null';
}

function theirObject(answer: Answer): string {
  return 'json' in answer ? canonical(answer.json) : 'null';
}

function exampleCsvs(): string[] {
  const versions = ['lighthouse/1.0.0', 'lighthouse/1.2.0', 'harbor-pilot/0.4.0'];
  return versions.map((version) => {
    const [operator = ''] = version.split('/');
    return readFileSync(join(EXAMPLES, version, `manifests/${operator}.clusterserviceversion.yaml`), 'utf8');
  });
}

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'indexwright-dialect-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function realManifests(): Promise<{ path: string; bytes: Buffer }[]> {
  unpackBundles(dir);
  const paths = (await readdir(dir, { recursive: true })).filter((path) => /\.ya?ml$/.test(path));
  return Promise.all(paths.map(async (path) => ({ path, bytes: await readFile(join(dir, path)) })));
}

describe('a hostile text', () => {
  test('may use an anchor often, but not stand for millions of values', () => {
    const often = `a: &x {k: v}\nb: [${Array(300).fill('*x').join(', ')}]`;
    expect(readYaml(often)).toHaveLength(1);
    const levels = Array.from(
      { length: 12 },
      (_, at) => `a${at}: &a${at} [${Array(9).fill(at ? `*a${at - 1}` : 'x')}]`,
    );
    expect(() => readYaml(levels.join('\n'))).toThrow('the aliases stand for too much');
  });

  test('is refused where it is nested too deeply or has too many values', () => {
    expect(() => readYaml('['.repeat(100_000))).toThrow('nested too deeply (more than 1000 levels)');
    expect(() => readYaml('- '.repeat(100_000))).toThrow('nested too deeply');
    expect(readYaml('['.repeat(999) + ']'.repeat(999))).toHaveLength(1);
  });

  test('is refused with its place', () => {
    expect(() => readYaml('a: 1\nb: "x\\q"')).toThrow('line 2, column 6: unknown escape sequence');
    expect(() => readYaml('a: 1\nb: \u0007')).toThrow(
      'line 2, column 4: the character U+0007 must not stand here unescaped',
    );
    expect(() => decodeUtf8(Buffer.from('a: é\nb: \xe9\n', 'latin1'))).toThrow('line 1: the text is not UTF-8');
    expect(() => decodeUtf8(Buffer.concat([Buffer.from('a: é\nb: '), Buffer.from([0xe9])]))).toThrow('line 2: ');
  });
});

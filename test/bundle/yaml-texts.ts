/** Random YAML texts, the same for the same seed: valid ones, nearly valid ones, and soup. */
export function randomYaml(seed: number, count: number, files: readonly string[]): string[] {
  const random = randomOf(seed);
  const makers = [soup, soup, scalars, scalars, (r: Random) => mutated(r, r.pick(files))];
  return Array.from({ length: count }, (_, index) => (makers[index % makers.length] as (r: Random) => string)(random));
}

interface Random {
  below(limit: number): number;
  pick<Item>(items: readonly Item[]): Item;
}

function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const below = (limit: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
  return { below, pick: (items) => items[below(items.length)] as (typeof items)[number] };
}

const repeat = <Item>(count: number, make: () => Item): Item[] => Array.from({ length: count }, make);

const PARTS = [
  ...[
    'a',
    'b: ',
    ': ',
    ':',
    '- ',
    '-',
    '? ',
    '?',
    '[',
    ']',
    '{',
    '}',
    ', ',
    ',',
    ' ',
    '  ',
    '\t',
    '"',
    "'",
    "''",
    '""',
  ],
  ...['\n', '\n', '\n', '\n ', '\n  ', '\n    ', '\r\n', '\r', '\u0085', '\u2028', '\ufeff', '\u{1f600}', 'é', '\0'],
  ...[
    '|',
    '>',
    '|-\n  ',
    '>+\n  ',
    '|2\n',
    '#',
    ' # c',
    '&a ',
    '*a',
    '&b',
    '*b ',
    '@',
    '`',
    '%',
    '=',
    '\\',
    '\\n',
    '\\\n',
  ],
  ...['!', '!!str ', '!!int ', '!!float ', '!!binary ', '!!null ', '!!bool ', '!!timestamp ', '!x ', '!<y> ', '!e!f '],
  ...['<<: ', '<<', '<<: *a\n', '---\n', '---', '...\n', '%YAML 1.1\n', '%YAML 1.2\n', '%TAG ! x\n', '%TAG !e! y\n'],
  ...['\\x41', '\\u', '\\/', '\\ud83d\\ude00', 'key: value\n', '- item\n', '  nested: 1\n', 'quay.io/a/b:v1', 'YWJj'],
  ...['0', '010', '0o17', '0x1F', '0b11', '1_000', '1.5', '.5', '.', 'e5', '1e3', '1e999', '.inf', '.nan', '~', 'null'],
  ...[
    'y',
    'no',
    'on',
    'true',
    '2020-01-01',
    '12:30',
    '9007199254740993',
    '18446744073709551616',
    '-9223372036854775808',
  ],
  ...['~: 1\n', '1.0: x\n', '0.1: x\n', '1e10: z\n', '1e-7: z\n', 'y: 1\n', '? [a]\n', '[a]: b\n'],
];

const soup = (random: Random) => repeat(1 + random.below(14), () => random.pick(PARTS)).join('');

const LETTERS = Array.from('0123456789eE.+-_xobXOBaAfF~ynNYtTrRuUlLiI:,#\'"');
const TAGS = ['', '', '', '', '!!str ', '!!int ', '!!float ', '!!bool ', '!!null ', '!!binary ', '!!timestamp ', '! '];

/** Short words, each as a value, in a list and as a key. */
function scalars(random: Random): string {
  const word = () => random.pick(TAGS) + repeat(1 + random.below(7), () => random.pick(LETTERS)).join('');
  return `a: ${word()}\nb: [${word()}, ${word()}]\n${word()}: c\nd:\n- ${word()}\n`;
}

const ODD = Array.from('\t "\'#&*!|>%@`:,[]{}-?\\\r\u0085\u2028é').concat(
  ': ',
  '- ',
  '\n',
  '\n\n',
  ' #',
  '<<: *a',
  '&a ',
  '\r\n',
);

/** A file with a few changes of the kind that editors, merges and templates make. */
function mutated(random: Random, file: string): string {
  let text = file;
  for (let change = random.below(4); change >= 0; change -= 1) {
    const at = random.below(text.length);
    const lines = text.split('\n');
    const line = random.below(lines.length);
    const changes = [
      () => text.slice(0, at) + random.pick(ODD) + text.slice(at),
      () => text.slice(0, at) + text.slice(at + 1 + random.below(3)),
      () => text.slice(0, at),
      () => text.replaceAll('\n', '\r\n'),
      () => lines.toSpliced(line, 1).join('\n'),
      () => lines.toSpliced(line, 0, lines[random.below(lines.length)] ?? '').join('\n'),
      () => lines.with(line, ` ${lines[line]}`).join('\n'),
      () => lines.with(line, (lines[line] ?? '').trimStart()).join('\n'),
      () => lines.with(line, `${lines[line]}${random.pick(PARTS)}`).join('\n'),
    ];
    text = random.pick(changes)();
  }
  return text;
}

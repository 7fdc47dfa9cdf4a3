import { YamlRefused } from './cursor.ts';
import type { ScalarNode } from './nodes.ts';

/** What a scalar is; integers that a number cannot hold are bigints. */
export type ScalarValue = string | number | bigint | boolean | null;

const PREFIX = 'tag:yaml.org,2002:';
type Type = 'str' | 'int' | 'float' | 'bool' | 'null' | 'timestamp';
const TYPES: ReadonlySet<string> = new Set<Type>(['str', 'int', 'float', 'bool', 'null', 'timestamp']);

/** A value with its type; floats keep theirs also when they are whole numbers. */
export interface Resolved {
  type: Type;
  value: ScalarValue;
}

/**
 * What a scalar means to opm, whose reader (sigs.k8s.io/yaml) resolves YAML 1.1 without base 60 numbers: `yes` and `on`
 * are true, `010` and `0o10` are 8, `1_000` is 1000, dates are text, `1e999` is text because no number is so large.
 *
 * @throws YamlRefused for a value that its tag does not fit
 */
export function resolveScalar(node: ScalarNode): Resolved {
  const { tag, value, implicit } = node;
  if (tag === '') return implicit ? resolvePlain(value) : { type: 'str', value };
  const type = tag.startsWith(PREFIX) ? tag.slice(PREFIX.length) : '';
  if (type === 'binary') return { type: 'str', value: fromBase64(value) };
  if (!TYPES.has(type) || type === 'str') return { type: 'str', value };
  if (type === 'timestamp') {
    if (isTimestamp(value)) return { type, value };
    throw new YamlRefused(`${JSON.stringify(value)} is no timestamp`);
  }
  const resolved = resolvePlain(value);
  if (resolved.type === type) return resolved;
  if (type === 'float' && resolved.type === 'int' && isInt64(resolved.value)) {
    return { type, value: Number(resolved.value) };
  }
  throw new YamlRefused(`${JSON.stringify(value)} does not fit its tag !!${type}`);
}

const WORDS: ReadonlyMap<string, Resolved> = new Map(
  (
    [
      [['y', 'Y', 'yes', 'Yes', 'YES', 'true', 'True', 'TRUE', 'on', 'On', 'ON'], 'bool', true],
      [['n', 'N', 'no', 'No', 'NO', 'false', 'False', 'FALSE', 'off', 'Off', 'OFF'], 'bool', false],
      [['', '~', 'null', 'Null', 'NULL'], 'null', null],
      [['.nan', '.NaN', '.NAN'], 'float', Number.NaN],
      [['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'], 'float', Number.POSITIVE_INFINITY],
      [['-.inf', '-.Inf', '-.INF'], 'float', Number.NEGATIVE_INFINITY],
    ] as const
  ).flatMap(([texts, type, value]) => texts.map((text) => [text, { type, value }] as const)),
);

const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;

function resolvePlain(text: string): Resolved {
  const word = WORDS.get(text);
  if (word !== undefined) return word;
  const first = text.charAt(0);
  // Go takes "_" out of these only where it separates digits.
  if (first === '.') return floatOf(text.replace(/(?<=\d)_(?=\d)/g, '')) ?? { type: 'str', value: text };
  if (/[-+0-9]/.test(first)) {
    const digits = text.replaceAll('_', '');
    const int = intOf(digits);
    if (int !== undefined) return { type: 'int', value: int };
    const float = floatOf(digits);
    if (float !== undefined) return float;
  }
  return { type: 'str', value: text };
}

function floatOf(text: string): Resolved | undefined {
  if (!FLOAT.test(text)) return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? { type: 'float', value } : undefined;
}

const BASES: readonly (readonly [digits: RegExp, prefix: string])[] = [
  [/^0[xX]([0-9a-fA-F]+)$/, '0x'],
  [/^0[oO]?([0-7]+)$/, '0o'],
  [/^0[bB]([01]+)$/, '0b'],
  [/^(0|[1-9][0-9]*)$/, ''],
];

const [LEAST, MOST, MOST_UNSIGNED] = [-(2n ** 63n), 2n ** 63n - 1n, 2n ** 64n - 1n];

/** An integer of 64 bits, unsigned ones without a sign. */
function intOf(text: string): number | bigint | undefined {
  // Go reads the digits after 0b on their own, so that they may have a sign once more.
  const odd = /^0b([-+])([01]+)$/.exec(text);
  if (odd !== null) return intOf(`${odd[1]}0b${odd[2]}`);
  const sign = /^[-+]/.exec(text)?.[0] ?? '';
  for (const [form, prefix] of BASES) {
    const digits = form.exec(text.slice(sign.length))?.[1];
    if (digits === undefined) continue;
    const size = BigInt(prefix + digits);
    const value = sign === '-' ? -size : size;
    if (value < LEAST || value > (sign === '' ? MOST_UNSIGNED : MOST)) return undefined;
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }
  return undefined;
}

/** Whether Go would hold the integer in its signed type. */
export function isInt64(value: ScalarValue): boolean {
  return typeof value === 'number' || (typeof value === 'bigint' && value <= MOST);
}

function fromBase64(text: string): string {
  const packed = text.replace(/[\r\n]/g, '');
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(packed)) {
    throw new YamlRefused('the value of !!binary is no base64');
  }
  const bytes = Buffer.from(packed, 'base64');
  const value = bytes.toString('utf8');
  // opm serves each other byte as U+FFFD; a text that was not meant is worse than none.
  if (!Buffer.from(value).equals(bytes)) throw new YamlRefused('the value of !!binary is not UTF-8 text');
  return value;
}

const TIMESTAMP =
  /^(\d{4})-(\d\d?)-(\d\d?)(?:[Tt](\d\d?:\d\d?:\d\d?)(?:[.,]\d+)?(?:Z|[-+]\d\d:\d\d)| (\d\d?:\d\d?:\d\d?)(?:[.,]\d+)?)?$/;

function isTimestamp(text: string): boolean {
  const [, year = '', month = '', day = '', zoned, local] = TIMESTAMP.exec(text) ?? [];
  const date = new Date(0);
  date.setUTCFullYear(Number(year), Number(month) - 1, Number(day));
  if (year === '' || date.getUTCMonth() !== Number(month) - 1 || date.getUTCDate() !== Number(day)) return false;
  const [hour = 0, minute = 0, second = 0] = (zoned ?? local ?? '0:0:0').split(':').map(Number);
  return hour < 24 && minute < 60 && second < 60;
}

/** How a float that is a key is written: as Go prints the nearest float of 32 bits in its shortest form. */
export function floatKey(value: number): string {
  const single = Math.fround(value);
  if (Number.isNaN(single)) return '.nan';
  if (!Number.isFinite(single)) return single > 0 ? '.inf' : '-.inf';
  if (single === 0) return Object.is(single, -0) ? '-0' : '0';
  // Nine digits tell every float of 32 bits from all others.
  let digits = 0;
  while (digits < 8 && Math.fround(Number(single.toExponential(digits))) !== single) digits += 1;
  const shortest = single.toExponential(digits);
  const [mantissa = '', exponent = ''] = shortest.split('e');
  const power = Number(exponent);
  if (power >= -4 && power < 6) return String(Number(shortest));
  return `${mantissa}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

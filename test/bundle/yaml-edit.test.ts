import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openYaml, setYaml, spliceYaml } from '../../src/bundle/yaml-edit.ts';
import { type Path, valueAt } from '../../src/bundle/yaml-path.ts';

/** Replaces `old` in the string at a path. */
function replace(text: string, path: Path, old: string, now: string): string {
  const yaml = openYaml(text);
  const from = String(valueAt(yaml.documents[0]?.value, path)).indexOf(old);
  return spliceYaml(yaml, [{ document: 0, path, from, to: from + old.length, text: now }]).text;
}

const set = (text: string, path: Path, value: Parameters<typeof setYaml>[1]['value'], document = 0) =>
  setYaml(openYaml(text), { document, path, value }).text;

describe('a part of a string', () => {
  test.each([
    ['plain', 'a: q.io/x:1   # why\nb: 2\n', 'a: q.io/x@sha256:d   # why\nb: 2\n'],
    ['single quotes', "a: 'it''s q.io/x:1'\n", "a: 'it''s q.io/x@sha256:d'\n"],
    ['double quotes', 'a: "\\t\\"q.io/x:1\\""\n', 'a: "\\t\\"q.io/x@sha256:d\\""\n'],
    ['literal', 'a: |+  # c\n  [\n   q.io/x:1\n  ]\n\nb: 1\n', 'a: |+  # c\n  [\n   q.io/x@sha256:d\n  ]\n\nb: 1\n'],
    ['folded', 'a: >-\n  see\n  q.io/x:1\n', 'a: >-\n  see\n  q.io/x@sha256:d\n'],
    ['double quotes over lines', 'a: "see \\\n   q.io/x:1"\n', 'a: "see \\\n   q.io/x@sha256:d"\n'],
    ['flow', '{"a": "q.io/x:1", "b": []}', '{"a": "q.io/x@sha256:d", "b": []}'],
    ['CR LF', 'a: q.io/x:1\r\nb:\r\n- c\r\n', 'a: q.io/x@sha256:d\r\nb:\r\n- c\r\n'],
    ['a byte order mark', '\ufeffa: q.io/x:1\n', '\ufeffa: q.io/x@sha256:d\n'],
    ['anchor', 'a: &x q.io/x:1\n', 'a: &x q.io/x@sha256:d\n'],
    ['no line end', 'b: 1\na: q.io/x:1', 'b: 1\na: q.io/x@sha256:d'],
  ])('keeps everything else: %s', (_, text, changed) => {
    expect(replace(text, ['a'], 'q.io/x:1', 'q.io/x@sha256:d')).toBe(changed);
  });

  test.each([
    ['an escape in it', '{"a": "q.io\\/x:1"}  # c\n', '{"a": "q.io/x@sha256:d"}  # c\n'],
    ['a fold in it', 'a: "q.io\\\n  /x:1"\n', 'a: "q.io/x@sha256:d"\n'],
    ['a comment like it', 'a: |  # q.io/x:1\n  q.io/x:1\nb: 1\n', 'a: "q.io/x@sha256:d\\n"\nb: 1\n'],
  ])('is written anew where it cannot be cut out: %s', (_, text, changed) => {
    expect(replace(text, ['a'], 'q.io/x:1', 'q.io/x@sha256:d')).toBe(changed);
  });

  test('of an alias changes that alias; of what an alias stands for, once for all', () => {
    expect(replace('a: &x q.io/x:1\nb: *x\n', ['b'], 'q.io/x:1', 'q.io/y:2')).toBe('a: &x q.io/x:1\nb: "q.io/y:2"\n');
    const shared = openYaml('a: &m {i: q.io/x:1}\nb: *m\n');
    const splice = { document: 0, from: 0, to: 8, text: 'q.io/y:2' };
    const both = [
      { ...splice, path: ['a', 'i'] },
      { ...splice, path: ['b', 'i'] },
    ];
    expect(spliceYaml(shared, both).text).toBe('a: &m {i: q.io/y:2}\nb: *m\n');
  });

  test('that is empty is replaced as a whole, and ends', () => {
    const splice = { document: 0, path: ['a'], from: 0, to: 0, text: 'x' };
    expect(spliceYaml(openYaml("a: ''  # c\n"), [splice]).text).toBe("a: 'x'  # c\n");
    expect(spliceYaml(openYaml('a: "long text"\n'), [splice]).text).toBe('a: "xlong text"\n');
  });

  test('of each of 20,000 values takes no longer than reading them a few times', () => {
    const text = (image: string) => `m:\n${Array.from({ length: 20_000 }, (_, at) => `  k${at}: ${image}\n`).join('')}`;
    const splices = Array.from({ length: 20_000 }, (_, at) => ({
      document: 0,
      path: ['m', `k${at}`],
      from: 0,
      to: 3,
      text: 'b:2',
    }));
    expect(spliceYaml(openYaml(text('a:1')), splices).text).toBe(text('b:2'));
  });

  test('of a merged mapping changes where it comes from', () => {
    const yaml = openYaml('a: &m\n  i: q.io/x:1\nb:\n  <<: *m\n  k: 1\n');
    const splice = { document: 0, from: 0, to: 8, text: 'q.io/y:2' };
    const both = [
      { ...splice, path: ['a', 'i'] },
      { ...splice, path: ['b', 'i'] },
    ];
    expect(spliceYaml(yaml, both).text).toBe('a: &m\n  i: q.io/y:2\nb:\n  <<: *m\n  k: 1\n');
  });

  test('where others would change with it: the file is printed anew', () => {
    const anew = replace('# c\na: &x q.io/x:1\nb: *x\n', ['a'], 'q.io/x:1', 'q.io/y:2');
    expect(anew).toBe('a: q.io/y:2\nb: q.io/x:1\n');
    expect(() => replace('a: 1\n', ['b'], 'x', 'y')).toThrow('there is nothing at b');
  });
});

describe('a value', () => {
  test.each([
    ['of a key in its quotes', "a: 'x'  # c\n", "a: 'it''s'  # c\n", "it's"],
    ['of a key without quotes', 'a: x\n', 'a: "yes"\n', 'yes'],
    ['of a number', 'a: 1\n', 'a: "2"\n', '2'],
    ['where there was none', 'a:   # c\nb: 1\n', 'a: x   # c\nb: 1\n', 'x'],
    ['of a text over lines', 'a: |\n  x\n  y\nb: 1\n', 'a: "p\\nq"\nb: 1\n', 'p\nq'],
    ['of a new key', 'b: |\n  x\n\n# end\n', 'b: |\n  x\na: x\n\n# end\n', 'x'],
    ['of a new key without line end', 'b: 1', 'b: 1\na: x', 'x'],
    ['of a new key in flow', '{ b: 1 }', '{ b: 1, "a": "x" }', 'x'],
    ['of a new key in an empty mapping', '{}', '{"a": "x"}', 'x'],
    ['with line ends of its own', 'b: 1\r\n', 'b: 1\r\na: x\r\n', 'x'],
  ])('%s', (_, text, changed, value) => {
    expect(set(text, ['a'], value)).toBe(changed);
  });

  test('of keys that lead to it', () => {
    expect(set('m:\n    n: 1\nz: 1\n', ['m', 'a', 'k.io/x'], 'v')).toBe(
      'm:\n    n: 1\n    a:\n      k.io/x: v\nz: 1\n',
    );
    expect(set('m:\n  a:\nz: 1\n', ['m', 'a', 'k'], 'v')).toBe('m:\n  a:\n    k: v\nz: 1\n');
    expect(set('m:\n  a: {}\n', ['m', 'a', 'k'], 'v')).toBe('m:\n  a: {"k": "v"}\n');
  });

  test('may be a list of mappings', () => {
    const images = [
      { name: 'a', image: 'q.io/x:1' },
      { name: 'yes', image: 'q.io/y:1' },
    ];
    const block = '  r:\n  - name: a\n    image: q.io/x:1\n  - name: "yes"\n    image: q.io/y:1\n';
    expect(set('s:\n  b: [1,\n     2]   # c\nz: 1\n', ['s', 'r'], images)).toBe(
      `s:\n  b: [1,\n     2]   # c\n${block}z: 1\n`,
    );
    expect(set('s:\n  r: []\nz: 1\n', ['s', 'r'], images)).toBe(`s:\n${block}z: 1\n`);
    expect(set('s:\n  b:\n  - c: |\n      x\nz: 1\n', ['s', 'r'], images)).toBe(
      `s:\n  b:\n  - c: |\n      x\n${block}z: 1\n`,
    );
    expect(JSON.parse(set('{"s": {\n  "b": 1\n}}', ['s', 'r'], images))).toEqual({ s: { b: 1, r: images } });
  });

  test('in the place of a mapping that ends with a block scalar', () => {
    expect(set('m:\n  y: |\n    z\n# end\n', ['m'], 'x')).toBe('m: x\n# end\n');
    expect(set('m:\r\n  y: >-\r\n    z\r\nn: 1\r\n', ['m'], '')).toBe('m: ""\r\nn: 1\r\n');
  });

  test('under a key that objects have of themselves', () => {
    for (const key of ['__proto__', 'constructor', 'toString']) {
      expect(set('a: 1\n', [key], 'x')).toBe(`a: 1\n${key}: x\n`);
      expect(set('a: 1\n', [key, key], 'x')).toBe(`a: 1\n${key}:\n  ${key}: x\n`);
      expect(set(`${key}: {}\n`, [key, 'polluted'], 'x')).toBe(`${key}: {"polluted": "x"}\n`);
    }
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
  });

  test('in the place of what others stand on: the file is printed anew', () => {
    expect(set('m: &a\n  x: 1\no:\n  <<: *a\n', ['m'], 'x')).toBe('m: x\no:\n  x: 1\n');
    expect(set('m: &a\n  x: e1\no: *a\n', ['m'], '.')).toBe('m: "."\no:\n  x: "e1"\n');
  });

  test('beside numbers of every form: they keep their text, and printed anew their value', () => {
    const numbers = 'm: [9007199254740993, 18446744073709551615, 1.10, 0o644, 1_000, 1e3, e23, .]\n';
    expect(set(`${numbers}a: x\n`, ['a'], 'z')).toBe(`${numbers}a: z\n`);
    const anew = set(`${numbers}a: &a x\nb: *a\n`, ['a'], 'z');
    expect(anew.startsWith(numbers)).toBe(false);
    expect(openYaml(anew).documents[0]?.value).toEqual({
      m: [9007199254740993n, 18446744073709551615n, 1.1, 420, 1000, 1000, 'e23', '.'],
      a: 'z',
      b: 'x',
    });
  });

  test('with white space that is none to YAML', () => {
    expect(set('a: 1\n', ['b'], '\u00a0')).toBe('a: 1\nb: \u00a0\n');
  });

  test('in one of several documents', () => {
    expect(set('a: 1\n---\na: 1\n...\n', ['b'], 'x', 1)).toBe('a: 1\n---\na: 1\nb: x\n...\n');
  });
});

test('any text set anywhere is read back, and nothing else changes', () => {
  const key = fc.string({ minLength: 1, unit: 'grapheme-ascii' });
  const value = fc.oneof(
    fc.string({ unit: 'binary' }).filter((text) => text.isWellFormed()),
    fc.constantFrom('yes', '1e3', '', ' x', '- a', '# b', '<<', '2020-01-01'),
  );
  const texts = fc.constantFrom(
    'a: 1\nm:\n  x: "q"\n  y: |\n    z\n# end\n',
    '# start\r\nm:\r\n  - b\r\n',
    '{"m": {"x": [1, 2]}, "k": null}',
    'm: &a\n  x: 1\no:\n  <<: *a\n',
    'm:\n',
  );
  fc.assert(
    fc.property(texts, key, value, (text, name, content) => {
      fc.pre(!(name === 'm' && text.includes('*a')));
      const before = openYaml(text).documents[0]?.value as Record<string, unknown>;
      const edited = openYaml(set(text, [name], content)).documents[0]?.value as Record<string, unknown>;
      expect(edited[name]).toBe(content);
      expect({ ...edited, [name]: null }).toEqual({ ...before, [name]: null });
    }),
  );
});

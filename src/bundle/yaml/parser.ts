import { type Mark, refusedAt } from './cursor.ts';
import type { MappingNode, PairNode, ScalarNode, SequenceNode, YamlNode } from './nodes.ts';
import type { Escapes } from './scan-scalars.ts';
import { Scanner, type Token } from './scanner.ts';

/** How quoted text is read, and what can be read without exhausting the process. */
export interface ParseOptions {
  /** Collections inside one another. */
  depth: number;
  /** Values and keys of all documents. */
  nodes: number;
  escapes: Escapes;
}

type Kind = Token['kind'];

/**
 * Makes nodes of a YAML text, document by document; what follows a document is not looked at before it is asked for.
 *
 * @param text without control characters
 * @throws YamlRefused
 */
export function* parseDocuments(text: string, options: ParseOptions): Generator<YamlNode, void> {
  const parser = new Parser(text, options);
  for (let node = parser.document(); node !== null; node = parser.document()) yield node;
}

const DEFAULT_PREFIXES: readonly (readonly [string, string])[] = [
  ['!', '!'],
  ['!!', 'tag:yaml.org,2002:'],
];

interface Properties {
  anchor: string | null;
  tag: string;
  /** Where they begin; where they end is where an empty value stands. */
  from: Mark;
  to: number;
  any: boolean;
}

class Parser {
  readonly #scanner: Scanner;
  readonly #options: ParseOptions;
  #prefixes = new Map<string, string>();
  #anchors = new Map<string, YamlNode>();
  #depth = 0;
  #nodes = 0;
  #isFirst = true;

  constructor(text: string, options: ParseOptions) {
    this.#scanner = new Scanner(text, options.escapes);
    this.#options = options;
  }

  /** The next document, null after the last. */
  document(): YamlNode | null {
    const scanner = this.#scanner;
    if (!this.#isFirst) while (scanner.peek().kind === 'document-end') scanner.next();
    const begin = scanner.peek();
    if (begin.kind === 'stream-end') return null;
    this.#anchors = new Map();
    this.#prefixes = new Map();
    const explicit = begin.kind === 'directive' || begin.kind === 'document-start';
    if (!explicit && !this.#isFirst) throw refusedAt(begin.from, '"---" is expected before another document');
    this.#directives();
    if (explicit) this.#expect('document-start', '"---" is expected after directives');
    this.#isFirst = false;
    const first = scanner.peek();
    const isEmpty = explicit && ['directive', 'document-start', 'document-end', 'stream-end'].includes(first.kind);
    const node = isEmpty ? this.#empty(first.from) : this.#node({ block: true, indentless: false });
    if (scanner.peek().kind === 'document-end') scanner.next();
    return node;
  }

  #directives(): void {
    let version = false;
    for (let token = this.#scanner.peek(); token.kind === 'directive'; token = this.#scanner.peek()) {
      const { directive } = token;
      if (directive.name === 'YAML') {
        if (version) throw refusedAt(token.from, 'a second %YAML directive');
        if (directive.version !== '1.1') throw refusedAt(token.from, 'only YAML 1.1 is understood');
        version = true;
      } else {
        if (this.#prefixes.has(directive.handle)) throw refusedAt(token.from, 'a second %TAG directive for a handle');
        this.#prefixes.set(directive.handle, directive.prefix);
      }
      this.#scanner.next();
    }
    for (const [handle, prefix] of DEFAULT_PREFIXES) {
      if (!this.#prefixes.has(handle)) this.#prefixes.set(handle, prefix);
    }
  }

  #expect(kind: Kind, reason: string): Token {
    const token = this.#scanner.peek();
    if (token.kind !== kind) throw refusedAt(token.from, reason);
    return this.#scanner.next();
  }

  #sees(...kinds: Kind[]): boolean {
    return kinds.includes(this.#scanner.peek().kind);
  }

  #properties(): Properties {
    const from = this.#scanner.peek().from;
    const properties: Properties = { anchor: null, tag: '', from, to: from.pos, any: false };
    // One of each, in any order.
    let tagged = false;
    for (let token = this.#scanner.peek(); ; token = this.#scanner.peek()) {
      if (token.kind === 'anchor' && properties.anchor === null) properties.anchor = token.name;
      else if (token.kind === 'tag' && !tagged) {
        tagged = true;
        properties.tag = this.#tagOf(token);
      } else break;
      properties.to = this.#scanner.next().to;
    }
    properties.any = properties.anchor !== null || properties.tag !== '';
    return properties;
  }

  #tagOf({ tag: { handle, suffix }, from }: Extract<Token, { kind: 'tag' }>): string {
    if (handle === '') return suffix;
    const prefix = this.#prefixes.get(handle);
    if (!prefix) throw refusedAt(from, `the tag handle ${handle} is not defined`);
    return prefix + suffix;
  }

  #node({ block, indentless }: { block: boolean; indentless: boolean }): YamlNode {
    const first = this.#scanner.peek();
    this.#count(first);
    if (first.kind === 'alias') return this.#alias(this.#scanner.next() as typeof first);
    const properties = this.#properties();
    const token = this.#scanner.peek();
    const place = { from: token.from.pos, to: token.to, line: token.from.line, column: token.from.column };
    const { tag, anchor } = properties;
    if (indentless && token.kind === 'block-entry') {
      return this.#sequence({ kind: 'sequence', flow: false, items: [], tag, ...place }, anchor, 'indentless');
    }
    switch (token.kind) {
      case 'scalar': {
        this.#scanner.next();
        const { value, style } = token;
        const implicit = (tag === '' && style === 'plain') || tag === '!';
        return this.#anchored({ kind: 'scalar', value, style, implicit, tag, ...place }, anchor);
      }
      case 'flow-sequence-start':
        return this.#sequence({ kind: 'sequence', flow: true, items: [], tag, ...place }, anchor, 'flow');
      case 'flow-mapping-start':
        return this.#mapping({ kind: 'mapping', flow: true, pairs: [], tag, ...place }, anchor);
      case 'block-sequence-start':
        if (!block) break;
        return this.#sequence({ kind: 'sequence', flow: false, items: [], tag, ...place }, anchor, 'block');
      case 'block-mapping-start':
        if (!block) break;
        return this.#mapping({ kind: 'mapping', flow: false, pairs: [], tag, ...place }, anchor);
    }
    if (!properties.any) throw refusedAt(token.from, 'a value is expected');
    const { line, column } = properties.from;
    return this.#anchored({ ...this.#empty({ pos: properties.to, line, column }), tag, implicit: tag === '' }, anchor);
  }

  #count({ from }: Token): void {
    this.#nodes += 1;
    if (this.#nodes > this.#options.nodes) throw refusedAt(from, `more than ${this.#options.nodes} values`);
  }

  #empty({ pos, line, column }: Mark): ScalarNode {
    return { kind: 'scalar', value: '', style: 'plain', implicit: true, tag: '', from: pos, to: pos, line, column };
  }

  #anchored<Node extends YamlNode>(node: Node, anchor: string | null): Node {
    if (anchor !== null) this.#anchors.set(anchor, node);
    return node;
  }

  #alias({ name, from, to }: Extract<Token, { kind: 'alias' | 'anchor' }>): YamlNode {
    const target = this.#anchors.get(name);
    if (target === undefined) throw refusedAt(from, `the anchor ${name} is not defined`);
    return { kind: 'alias', target, tag: '', from: from.pos, to, line: from.line, column: from.column };
  }

  #nested<Node>(token: Token, read: () => Node): Node {
    this.#depth += 1;
    if (this.#depth > this.#options.depth) {
      throw refusedAt(token.from, `nested too deeply (more than ${this.#options.depth} levels)`);
    }
    const node = read();
    this.#depth -= 1;
    return node;
  }

  #sequence(node: SequenceNode, anchor: string | null, form: 'block' | 'indentless' | 'flow'): SequenceNode {
    // Before what it holds: an alias in there is told from an unknown one.
    this.#anchored(node, anchor);
    return this.#nested(this.#scanner.peek(), () => {
      if (form !== 'indentless') this.#scanner.next();
      if (form === 'flow') this.#flowItems(node);
      else this.#blockItems(node, form);
      return node;
    });
  }

  #blockItems(node: SequenceNode, form: 'block' | 'indentless'): void {
    const ends: Kind[] = form === 'block' ? ['block-entry', 'block-end'] : ['block-entry', 'key', 'value', 'block-end'];
    while (this.#sees('block-entry')) {
      const entry = this.#scanner.next();
      const item = this.#sees(...ends) ? this.#emptyAfter(entry) : this.#node({ block: true, indentless: false });
      node.items.push(item);
      node.to = item.to;
    }
    if (form === 'block') this.#expect('block-end', 'a list entry is expected');
  }

  #emptyAfter({ from, to }: Token): ScalarNode {
    return this.#empty({ ...from, pos: to });
  }

  #flowItems(node: SequenceNode): void {
    for (let first = true; !this.#sees('flow-sequence-end'); first = false) {
      if (!first) {
        this.#expect('flow-entry', '"," or "]" is expected');
        if (this.#sees('flow-sequence-end')) break;
      }
      node.items.push(this.#sees('key') ? this.#singlePair() : this.#node({ block: false, indentless: false }));
    }
    node.to = this.#scanner.next().to;
  }

  /** `[a: b]`: a mapping of one pair. */
  #singlePair(): MappingNode {
    const { from, to } = this.#scanner.next();
    this.#count(this.#scanner.peek());
    const { pos, line, column } = from;
    const map: MappingNode = { kind: 'mapping', flow: true, pairs: [], tag: '', from: pos, to, line, column };
    const ends: Kind[] = ['flow-entry', 'flow-sequence-end'];
    // Without a key libyaml passes over what follows.
    const key = this.#sees('value', ...ends)
      ? this.#emptyAfter(this.#scanner.next())
      : this.#node({ block: false, indentless: false });
    map.pairs.push(this.#valueOf(key, ends));
    map.to = map.pairs[0]?.value.to ?? to;
    return map;
  }

  /** The pair of a key and what follows it in a flow collection. */
  #valueOf(key: YamlNode, ends: readonly Kind[]): PairNode {
    if (!this.#sees('value')) return { key, value: this.#empty(this.#scanner.peek().from), valueFrom: null };
    const colon = this.#scanner.next();
    const value = this.#sees(...ends) ? this.#emptyAfter(colon) : this.#node({ block: false, indentless: false });
    return { key, value, valueFrom: colon.to };
  }

  #mapping(node: MappingNode, anchor: string | null): MappingNode {
    this.#anchored(node, anchor);
    return this.#nested(this.#scanner.peek(), () => {
      this.#scanner.next();
      if (node.flow) this.#flowPairs(node);
      else this.#blockPairs(node);
      return node;
    });
  }

  #blockPairs(node: MappingNode): void {
    const ends: Kind[] = ['key', 'value', 'block-end'];
    while (this.#sees('key')) {
      const mark = this.#scanner.next();
      const key = this.#sees(...ends) ? this.#emptyAfter(mark) : this.#node({ block: true, indentless: true });
      const pair: PairNode = { key, value: key, valueFrom: null };
      if (this.#sees('value')) {
        const colon = this.#scanner.next();
        pair.valueFrom = colon.to;
        pair.value = this.#sees(...ends) ? this.#emptyAfter(colon) : this.#node({ block: true, indentless: true });
      } else pair.value = this.#empty(this.#scanner.peek().from);
      node.pairs.push(pair);
      node.to = pair.value.to;
    }
    this.#expect('block-end', 'a key is expected');
  }

  #flowPairs(node: MappingNode): void {
    const ends: Kind[] = ['flow-entry', 'flow-mapping-end'];
    for (let first = true; !this.#sees('flow-mapping-end'); first = false) {
      if (!first) {
        this.#expect('flow-entry', '"," or "}" is expected');
        if (this.#sees('flow-mapping-end')) break;
      }
      if (this.#sees('key')) {
        this.#scanner.next();
        const at = this.#scanner.peek().from;
        const key = this.#sees('value', ...ends) ? this.#empty(at) : this.#node({ block: false, indentless: false });
        node.pairs.push(this.#valueOf(key, ends));
      } else {
        const key = this.#node({ block: false, indentless: false });
        node.pairs.push({ key, value: this.#empty(this.#scanner.peek().from), valueFrom: null });
      }
    }
    node.to = this.#scanner.next().to;
  }
}

import { Cursor, isBlank, isBreak, isSpaceOrEnd, type Mark } from './cursor.ts';
import { type ScannedDirective, type ScannedTag, scanAnchor, scanDirective, scanTag } from './scan-names.ts';
import { type Escapes, type ScannedScalar, type Style, scanBlock, scanPlain, scanQuoted } from './scan-scalars.ts';

type Bare =
  | 'document-start'
  | 'document-end'
  | 'stream-end'
  | 'block-sequence-start'
  | 'block-mapping-start'
  | 'block-end'
  | 'flow-sequence-start'
  | 'flow-sequence-end'
  | 'flow-mapping-start'
  | 'flow-mapping-end'
  | 'block-entry'
  | 'flow-entry'
  | 'key'
  | 'value';

type Content =
  | { kind: Bare }
  | { kind: 'alias' | 'anchor'; name: string }
  | { kind: 'tag'; tag: ScannedTag }
  | { kind: 'directive'; directive: ScannedDirective }
  | { kind: 'scalar'; value: string; style: Style };

/** A token of a YAML text. */
export type Token = Content & {
  from: Mark;
  /** UTF-16 code units from the start of the text. */
  to: number;
};

/** What may turn out to be the key of a mapping once a colon follows. */
interface SimpleKey {
  mark: Mark;
  index: number;
  /** Number of its token. */
  token: number;
  /** Nothing else can stand at its place. */
  required: boolean;
}

/** A key without `?` is on one line and no longer than this. */
const LONGEST_KEY = 1024;

const FLOW_STARTS: Readonly<Record<string, Bare>> = { '[': 'flow-sequence-start', '{': 'flow-mapping-start' };
const FLOW_ENDS: Readonly<Record<string, Bare>> = { ']': 'flow-sequence-end', '}': 'flow-mapping-end' };
const INDICATORS = '-?:,[]{}#&*!|>\'"%@`';

/**
 * Takes a YAML text apart, one token at a time, by the rules of libyaml and so of go-yaml, by which opm reads: where YAML
 * 1.1 and 1.2 differ it is 1.1, and indentation inside quotes and flow collections does not matter.
 */
export class Scanner {
  readonly #cursor: Cursor;
  readonly #escapes: Escapes;
  readonly #queue: Token[] = [];
  #head = 0;
  /** Number of tokens that were taken. */
  #taken = 0;
  #indent = -1;
  readonly #indents: number[] = [];
  /** One place for each open flow collection, and one for the block around them. */
  readonly #keys: (SimpleKey | null)[] = [null];
  /** By the number of their tokens. */
  readonly #levels = new Map<number, number>();
  #keyAllowed = true;
  /** Whether nothing can come before the next token any more. */
  #isKnown = false;
  #ended = false;

  /** @param text without control characters */
  constructor(text: string, escapes: Escapes) {
    this.#cursor = new Cursor(text);
    this.#escapes = escapes;
  }

  /** The next token. @throws YamlRefused */
  peek(): Token {
    while (!this.#isKnown && !this.#ended && (this.#head === this.#queue.length || this.#mayBecomeKey())) this.#fetch();
    this.#isKnown = true;
    return this.#queue[this.#head] as Token;
  }

  /** The next token, which is passed over, unless it is the end of the stream. @throws YamlRefused */
  next(): Token {
    const token = this.peek();
    if (token.kind === 'stream-end') return token;
    this.#isKnown = false;
    this.#head += 1;
    this.#taken += 1;
    if (this.#head === this.#queue.length) {
      this.#queue.length = 0;
      this.#head = 0;
    }
    return token;
  }

  /** Whether a token that says "key" may yet have to be put before the next one. */
  #mayBecomeKey(): boolean {
    const level = this.#levels.get(this.#taken);
    return level !== undefined && this.#isPossible(level);
  }

  get #inFlow(): boolean {
    return this.#keys.length > 1;
  }

  #isPossible(level: number): boolean {
    const key = this.#keys[level];
    if (!key) return false;
    if (key.mark.line === this.#cursor.line && this.#cursor.index <= key.index + LONGEST_KEY) return true;
    this.#dropKey(level);
    return false;
  }

  #dropKey(level = this.#keys.length - 1): void {
    const key = this.#keys[level];
    if (!key) return;
    if (key.required) throw this.#cursor.refused('":" is expected after a key', key.mark);
    this.#forgetKey(level, key);
  }

  #forgetKey(level: number, { token }: SimpleKey): void {
    this.#levels.delete(token);
    this.#keys[level] = null;
  }

  #saveKey(): void {
    if (!this.#keyAllowed) return;
    this.#dropKey();
    const token = this.#taken + this.#queue.length - this.#head;
    const level = this.#keys.length - 1;
    this.#levels.set(token, level);
    this.#keys[level] = {
      mark: this.#cursor.mark(),
      index: this.#cursor.index,
      token,
      required: !this.#inFlow && this.#indent === this.#cursor.column,
    };
  }

  #push(content: Content, from: Mark, to = this.#cursor.pos): void {
    this.#queue.push({ ...content, from, to });
  }

  /** @param number of the token before which it goes */
  #insert(kind: Bare, at: Mark, number: number): void {
    this.#queue.splice(this.#head + number - this.#taken, 0, { kind, from: at, to: at.pos });
  }

  /** A token of so many characters. */
  #take(kind: Bare, length = 1): void {
    const from = this.#cursor.mark();
    this.#cursor.skip(length);
    this.#push({ kind }, from);
  }

  /** Opens a block collection where the text is further in than the one around it. */
  #indentTo(column: number, kind: Bare, at: Mark, number = this.#taken + this.#queue.length - this.#head): void {
    if (this.#inFlow || this.#indent >= column) return;
    this.#indents.push(this.#indent);
    this.#indent = column;
    this.#insert(kind, at, number);
  }

  #dedentTo(column: number): void {
    if (this.#inFlow) return;
    while (this.#indent > column) {
      this.#push({ kind: 'block-end' }, this.#cursor.mark());
      this.#indent = this.#indents.pop() ?? -1;
    }
  }

  #skipToToken(): void {
    const cursor = this.#cursor;
    for (;;) {
      cursor.skipWhile((code) => code === 0x20 || (code === 0x09 && (this.#inFlow || !this.#keyAllowed)));
      cursor.skipComment();
      if (!isBreak(cursor.code())) return;
      cursor.readBreak();
      if (!this.#inFlow) this.#keyAllowed = true;
    }
  }

  #fetch() {
    const cursor = this.#cursor;
    this.#skipToToken();
    this.#dedentTo(cursor.column);
    if (cursor.code() === 0) return this.#fetchEnd();
    if (cursor.column === 0 && cursor.code() === 0x25) return this.#fetchDirective();
    if (cursor.seesDocumentMarker('---')) return this.#fetchMarker('document-start');
    if (cursor.seesDocumentMarker('...')) return this.#fetchMarker('document-end');
    return this.#fetchContent(cursor.text.charAt(cursor.pos), isSpaceOrEnd(cursor.code(1)));
  }

  #fetchContent(character: string, alone: boolean) {
    const flowStart = FLOW_STARTS[character];
    if (flowStart !== undefined) return this.#fetchFlowStart(flowStart);
    const flowEnd = FLOW_ENDS[character];
    if (flowEnd !== undefined) return this.#fetchFlowEnd(flowEnd);
    if (character === ',') return this.#fetchFlowEntry();
    if (character === '-' && alone) return this.#fetchBlockEntry();
    if (character === '?' && (this.#inFlow || alone)) return this.#fetchKey();
    if (character === ':' && (this.#inFlow || alone)) return this.#fetchValue();
    if (character === '*' || character === '&') return this.#fetchAnchor(character === '*' ? 'alias' : 'anchor');
    if (character === '!') return this.#fetchTag();
    if ((character === '|' || character === '>') && !this.#inFlow) {
      return this.#fetchBlockScalar(character === '|' ? 'literal' : 'folded');
    }
    if (character === "'" || character === '"') return this.#fetchQuoted(character === "'" ? 'single' : 'double');
    const next = this.#cursor.code(1);
    const isPlain =
      (!isSpaceOrEnd(this.#cursor.code()) && !INDICATORS.includes(character)) ||
      (character === '-' && !isBlank(next)) ||
      (!this.#inFlow && (character === '?' || character === ':') && !isSpaceOrEnd(next));
    if (!isPlain) throw this.#cursor.refused('a value cannot begin with this character');
    return this.#fetchPlain();
  }

  #fetchEnd(): void {
    // What is open ends at the start of a line that is not there.
    this.#dedentTo(-1);
    this.#dropKey();
    this.#push({ kind: 'stream-end' }, this.#cursor.mark());
    this.#ended = true;
  }

  #fetchDirective(): void {
    const from = this.#cursor.mark();
    this.#dedentTo(-1);
    this.#dropKey();
    this.#keyAllowed = false;
    this.#push({ kind: 'directive', directive: scanDirective(this.#cursor) }, from);
  }

  #fetchMarker(kind: 'document-start' | 'document-end'): void {
    this.#dedentTo(-1);
    this.#dropKey();
    this.#keyAllowed = false;
    this.#take(kind, 3);
  }

  #fetchFlowStart(kind: Bare): void {
    this.#saveKey();
    this.#keys.push(null);
    this.#keyAllowed = true;
    this.#take(kind);
  }

  #fetchFlowEnd(kind: Bare): void {
    this.#dropKey();
    if (this.#inFlow) this.#keys.pop();
    this.#keyAllowed = false;
    this.#take(kind);
  }

  #fetchFlowEntry(): void {
    this.#dropKey();
    this.#keyAllowed = true;
    this.#take('flow-entry');
  }

  #fetchBlockEntry(): void {
    if (!this.#inFlow) {
      if (!this.#keyAllowed) throw this.#cursor.refused('a list entry cannot stand here');
      this.#indentTo(this.#cursor.column, 'block-sequence-start', this.#cursor.mark());
    }
    this.#dropKey();
    this.#keyAllowed = true;
    this.#take('block-entry');
  }

  #fetchKey(): void {
    if (!this.#inFlow) {
      if (!this.#keyAllowed) throw this.#cursor.refused('a key cannot stand here');
      this.#indentTo(this.#cursor.column, 'block-mapping-start', this.#cursor.mark());
    }
    this.#dropKey();
    this.#keyAllowed = !this.#inFlow;
    this.#take('key');
  }

  #fetchValue(): void {
    const level = this.#keys.length - 1;
    const key = this.#isPossible(level) ? this.#keys[level] : null;
    if (key) {
      this.#insert('key', key.mark, key.token);
      this.#indentTo(key.mark.column, 'block-mapping-start', key.mark, key.token);
      this.#forgetKey(level, key);
      this.#keyAllowed = false;
    } else {
      if (!this.#inFlow) {
        if (!this.#keyAllowed) throw this.#cursor.refused('a mapping cannot stand here');
        this.#indentTo(this.#cursor.column, 'block-mapping-start', this.#cursor.mark());
      }
      this.#keyAllowed = !this.#inFlow;
    }
    this.#take('value');
  }

  #fetchAnchor(kind: 'alias' | 'anchor'): void {
    this.#saveKey();
    this.#keyAllowed = false;
    const from = this.#cursor.mark();
    this.#push({ kind, name: scanAnchor(this.#cursor) }, from);
  }

  #fetchTag(): void {
    this.#saveKey();
    this.#keyAllowed = false;
    const from = this.#cursor.mark();
    this.#push({ kind: 'tag', tag: scanTag(this.#cursor) }, from);
  }

  #pushScalar(style: Style, scan: () => ScannedScalar): void {
    const from = this.#cursor.mark();
    const { value, to } = scan();
    this.#push({ kind: 'scalar', value, style }, from, to);
  }

  #fetchBlockScalar(style: 'literal' | 'folded'): void {
    this.#dropKey();
    this.#keyAllowed = true;
    this.#pushScalar(style, () => scanBlock(this.#cursor, style, this.#indent));
  }

  #fetchQuoted(style: 'single' | 'double'): void {
    this.#saveKey();
    this.#keyAllowed = false;
    this.#pushScalar(style, () => scanQuoted(this.#cursor, style, this.#escapes));
  }

  #fetchPlain(): void {
    this.#saveKey();
    this.#keyAllowed = false;
    this.#pushScalar('plain', () => {
      const { endsLine, ...scalar } = scanPlain(this.#cursor, { flow: this.#inFlow, indent: this.#indent });
      if (endsLine) this.#keyAllowed = true;
      return scalar;
    });
  }
}

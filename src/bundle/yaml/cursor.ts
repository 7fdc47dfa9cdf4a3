/** A YAML text that is refused, with the place and the reason in one line and without any path. */
export class YamlRefused extends Error {}

/** A place in a text. */
export interface Mark {
  /** UTF-16 code units from the start of the text. */
  pos: number;
  /** From 0. */
  line: number;
  /** Characters from the start of the line, from 0. */
  column: number;
}

/** `line 3, column 7: reason`, both counted from 1. */
export function refusedAt({ line, column }: Pick<Mark, 'line' | 'column'>, reason: string): YamlRefused {
  return new YamlRefused(`line ${line + 1}, column ${column + 1}: ${reason}`);
}

const [TAB, LF, CR, SPACE] = [0x09, 0x0a, 0x0d, 0x20];
const [NEL, LINE_SEPARATOR, PARAGRAPH_SEPARATOR] = [0x85, 0x2028, 0x2029];

export function isBlank(code: number): boolean {
  return code === SPACE || code === TAB;
}

export function isBreak(code: number): boolean {
  return code === LF || code === CR || code === NEL || code === LINE_SEPARATOR || code === PARAGRAPH_SEPARATOR;
}

/** A line break or the end of the text. */
export function isBreakOrEnd(code: number): boolean {
  return code === 0 || isBreak(code);
}

/** White space or the end of the text. */
export function isSpaceOrEnd(code: number): boolean {
  return isBlank(code) || isBreakOrEnd(code);
}

/** What names of anchors, handles and directives consist of. */
export function isWord(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a) ||
    code === 0x5f ||
    code === 0x2d
  );
}

export function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** Reads a text character by character and knows where it is. */
export class Cursor implements Mark {
  readonly text: string;
  pos: number;
  line = 0;
  column = 0;
  /** Characters from the start of the text. */
  index = 0;

  /** @param text without NUL; a byte order mark at its start is passed over */
  constructor(text: string) {
    this.text = text;
    this.pos = text.startsWith('\ufeff') ? 1 : 0;
  }

  /** The code unit here, or `offset` units further on; 0 at the end of the text. */
  code(offset = 0): number {
    return this.text.charCodeAt(this.pos + offset) || 0;
  }

  /** Whether the text goes on with this. */
  sees(part: string): boolean {
    return this.text.startsWith(part, this.pos);
  }

  mark(): Mark {
    return { pos: this.pos, line: this.line, column: this.column };
  }

  /** Goes on by characters that are no line breaks. */
  skip(count = 1): void {
    for (let done = 0; done < count; done += 1) {
      this.pos += (this.code() & 0xfc00) === 0xd800 ? 2 : 1;
      this.column += 1;
      this.index += 1;
    }
  }

  skipWhile(wanted: (code: number) => boolean): void {
    while (wanted(this.code())) this.skip();
  }

  /** The rest of the line is passed over when it is a comment. */
  skipComment(): void {
    if (this.code() === 0x23) this.skipWhile((code) => !isBreakOrEnd(code));
  }

  /** Passes over the line break that is here, and gives what it means: a line feed, but for the separators of Unicode. */
  readBreak(): string {
    const code = this.code();
    const length = code === CR && this.code(1) === LF ? 2 : 1;
    this.pos += length;
    this.index += length;
    this.line += 1;
    this.column = 0;
    return code === LINE_SEPARATOR || code === PARAGRAPH_SEPARATOR ? String.fromCharCode(code) : '\n';
  }

  /** Whether a document begins (`---`) or ends (`...`) here. */
  seesDocumentMarker(marker: '---' | '...'): boolean {
    return this.column === 0 && this.sees(marker) && isSpaceOrEnd(this.code(3));
  }

  refused(reason: string, at: Pick<Mark, 'line' | 'column'> = this): YamlRefused {
    return refusedAt(at, reason);
  }
}

/** Evaluates the part of CEL that templates use (konflux-and-gitlab.md §1.2 and §6.1 point 8). */
export type CelValue = string | number | boolean | null | CelValue[] | { [key: string]: CelValue };

export interface CelWorld {
  variables: Readonly<Record<string, CelValue>>;
  /** Paths the event changed, for `"glob".pathChanged()`. */
  pathChanged(glob: string): boolean;
}

const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(\d+)|([A-Za-z_]\w*)|(==|!=|<=|>=|&&|\|\||[!()[\].,<>+]))/y;

interface Token {
  kind: 'string' | 'number' | 'name' | 'sign' | 'end';
  text: string;
}

function tokens(source: string): Token[] {
  const found: Token[] = [];
  TOKEN.lastIndex = 0;
  while (source.slice(TOKEN.lastIndex).trim() !== '') {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (!match) throw new SyntaxError(`CEL: unexpected character at ${at}: ${source.slice(at, at + 10)}`);
    const [, text, digits, name, sign] = match;
    if (text !== undefined) found.push({ kind: 'string', text: text.slice(1, -1).replace(/\\(.)/g, '$1') });
    else if (digits !== undefined) found.push({ kind: 'number', text: digits });
    else if (name !== undefined) found.push({ kind: 'name', text: name });
    else found.push({ kind: 'sign', text: sign ?? '' });
  }
  return found;
}

type Expression = (world: CelWorld) => CelValue;

/**
 * Compiles an expression to a function.
 *
 * @throws SyntaxError for what is not in the subset; the function throws ReferenceError for unknown names
 */
export function cel(source: string): Expression {
  const parser = new Parser(tokens(source));
  return parser.whole();
}

class Parser {
  readonly #tokens: Token[];
  #at = 0;

  constructor(list: Token[]) {
    this.#tokens = list;
  }

  whole(): Expression {
    const expression = this.#or();
    const rest = this.#peek();
    if (rest.kind !== 'end') throw new SyntaxError(`CEL: unexpected ${rest.text}`);
    return expression;
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: 'end of expression' };
  }

  #take(sign: string): boolean {
    const { kind, text } = this.#peek();
    if (text !== sign || kind === 'string') return false;
    this.#at += 1;
    return true;
  }

  #need(sign: string): void {
    if (!this.#take(sign)) throw new SyntaxError(`CEL: ${sign} expected, found ${this.#peek().text}`);
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#take('||')) {
      const [a, b] = [left, this.#and()];
      left = (world) => truth(a(world)) || truth(b(world));
    }
    return left;
  }

  #and(): Expression {
    let left = this.#relation();
    while (this.#take('&&')) {
      const [a, b] = [left, this.#relation()];
      left = (world) => truth(a(world)) && truth(b(world));
    }
    return left;
  }

  #relation(): Expression {
    const left = this.#unary();
    if (this.#take('==')) {
      const right = this.#unary();
      return (world) => same(left(world), right(world));
    }
    if (this.#take('!=')) {
      const right = this.#unary();
      return (world) => !same(left(world), right(world));
    }
    if (this.#take('in')) {
      const right = this.#unary();
      return (world) => {
        const holder = right(world);
        if (Array.isArray(holder)) return holder.some((item) => same(item, left(world)));
        return typeof holder === 'object' && holder !== null && Object.hasOwn(holder, String(left(world)));
      };
    }
    return left;
  }

  #unary(): Expression {
    if (!this.#take('!')) return this.#access();
    const inner = this.#unary();
    return (world) => !truth(inner(world));
  }

  #access(): Expression {
    let value = this.#primary();
    for (;;) {
      const target = value;
      if (this.#take('[')) {
        const index = this.#or();
        this.#need(']');
        value = (world) => member(target(world), index(world));
      } else if (this.#take('.')) {
        const name = this.#name();
        value = this.#take('(') ? this.#method(target, name) : (world) => member(target(world), name);
      } else return value;
    }
  }

  #name(): string {
    const { kind, text } = this.#peek();
    if (kind !== 'name') throw new SyntaxError(`CEL: a name expected, found ${text}`);
    this.#at += 1;
    return text;
  }

  #primary(): Expression {
    if (this.#take('(')) {
      const inner = this.#or();
      this.#need(')');
      return inner;
    }
    if (this.#take('[')) {
      const items = this.#list(']');
      return (world) => items.map((item) => item(world));
    }
    const { kind, text } = this.#peek();
    this.#at += 1;
    if (kind === 'string') return () => text;
    if (kind === 'number') return () => Number(text);
    if (kind !== 'name') throw new SyntaxError(`CEL: unexpected ${text}`);
    if (text === 'true' || text === 'false') return () => text === 'true';
    if (text === 'null') return () => null;
    return ({ variables }) => {
      const found = variables[text];
      if (found === undefined) throw new ReferenceError(`undeclared reference to '${text}'`);
      return found;
    };
  }

  #list(end: string): Expression[] {
    const items: Expression[] = [];
    if (this.#take(end)) return items;
    do items.push(this.#or());
    while (this.#take(','));
    this.#need(end);
    return items;
  }

  #method(target: Expression, name: string): Expression {
    if (name === 'exists' || name === 'all') return this.#macro(target, name);
    const parameters = this.#list(')');
    const text = (world: CelWorld) => String(parameters[0]?.(world) ?? '');
    switch (name) {
      case 'startsWith':
        return (world) => String(target(world)).startsWith(text(world));
      case 'endsWith':
        return (world) => String(target(world)).endsWith(text(world));
      case 'contains':
        return (world) => String(target(world)).includes(text(world));
      case 'matches':
        return (world) => new RegExp(text(world)).test(String(target(world)));
      case 'pathChanged':
        return (world) => world.pathChanged(String(target(world)));
      case 'size':
        return (world) => (target(world) as string | CelValue[]).length;
      default:
        throw new SyntaxError(`CEL: unknown function ${name}`);
    }
  }

  /** `list.exists(x, condition)` and `list.all(x, condition)`. */
  #macro(target: Expression, name: 'exists' | 'all'): Expression {
    const variable = this.#name();
    this.#need(',');
    const condition = this.#or();
    this.#need(')');
    return (world) => {
      const items = target(world);
      if (!Array.isArray(items)) throw new TypeError(`CEL: ${name} wants a list`);
      const holds = (item: CelValue) =>
        truth(condition({ ...world, variables: { ...world.variables, [variable]: item } }));
      return name === 'exists' ? items.some(holds) : items.every(holds);
    };
  }
}

function truth(value: CelValue): boolean {
  if (typeof value !== 'boolean') throw new TypeError('CEL: no such overload');
  return value;
}

const same = (a: CelValue, b: CelValue) => JSON.stringify(a) === JSON.stringify(b);

function member(holder: CelValue, key: CelValue): CelValue {
  const found = Array.isArray(holder)
    ? holder[Number(key)]
    : typeof holder === 'object' && holder !== null
      ? holder[String(key)]
      : undefined;
  if (found === undefined) throw new ReferenceError(`no such key: ${String(key)}`);
  return found;
}

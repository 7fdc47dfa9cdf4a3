import { refusedAt, YamlRefused } from './cursor.ts';
import { isMerge, type MappingNode, resolved, type ScalarNode, type YamlNode } from './nodes.ts';
import { floatKey, isInt64, type Resolved, resolveScalar, type ScalarValue } from './scalars.ts';

export interface ConstructOptions {
  repeatedKeys: 'refuse' | 'last wins';
}

/** Plain data, what is reached by several aliases being the same object. */
export type YamlValue = ScalarValue | YamlValue[] | { [key: string]: YamlValue };

/**
 * The plain data of a document, as opm's JSON has it.
 *
 * @throws YamlRefused also for what JSON cannot say: `.nan`, `.inf`, keys that are null or collections
 */
export function construct(document: YamlNode, options: ConstructOptions): YamlValue {
  const reading = new Construction(options);
  const { value } = reading.visit(document);
  reading.refuseFaults(value);
  return value;
}

/** How a key is written in JSON, and what tells it from others; null for one that JSON cannot have. */
export function keyOf(node: YamlNode): string | null {
  const target = resolved(node);
  return target.kind === 'scalar' ? keyText(resolveScalar(target)) : null;
}

function keyText({ type, value }: Resolved): string | null {
  if (value === null || (type === 'int' && !isInt64(value))) return null;
  return type === 'float' ? floatKey(Number(value)) : String(value);
}

interface Visited {
  value: YamlValue;
  /** Values that are read for it, each alias counted for all it stands for. */
  size: number;
}

class Construction {
  readonly #options: ConstructOptions;
  readonly #targets = new Map<YamlNode, Visited | 'open'>();
  /** Mappings with keys that JSON cannot have: no fault where another value takes their place. */
  readonly #faults = new Map<object, YamlRefused>();
  #hasNonFinite = false;
  #depth = 0;
  /** As go-yaml counts, beginning with the document. */
  #read = 1;
  #readByAliases = 0;

  constructor(options: ConstructOptions) {
    this.#options = options;
  }

  visit(node: YamlNode): Visited {
    this.#count(1);
    switch (node.kind) {
      case 'scalar':
        return { value: this.#scalar(node).value, size: 1 };
      case 'sequence': {
        const items: YamlValue[] = [];
        let size = 1;
        for (const item of node.items) {
          const visited = this.visit(item);
          items.push(visited.value);
          size += visited.size;
        }
        return { value: items, size };
      }
      case 'mapping': {
        const value = {};
        return { value, size: 1 + this.#fill(value, node) };
      }
      case 'alias': {
        const { value, size } = this.#target(node);
        return { value, size: size + 1 };
      }
    }
  }

  #count(values: number): void {
    this.#read += values;
    if (this.#depth > 0) this.#readByAliases += values;
  }

  #target({ target, line, column }: Extract<YamlNode, { kind: 'alias' }>): Visited {
    const known = this.#targets.get(target);
    if (known === 'open') throw refusedAt({ line, column }, 'an alias refers to what contains it');
    this.#depth += 1;
    let visited = known;
    if (visited === undefined) {
      this.#targets.set(target, 'open');
      visited = this.visit(target);
      this.#targets.set(target, visited);
    } else this.#count(visited.size);
    this.#depth -= 1;
    if (this.#isBomb()) throw refusedAt({ line, column }, 'the aliases stand for too much');
    return visited;
  }

  /** The measure of go-yaml: which part of what is read comes from aliases, less for large documents. */
  #isBomb(): boolean {
    const [least, most] = [400_000, 4_000_000];
    if (this.#readByAliases <= 100 || this.#read <= 1000) return false;
    const size = Math.min(Math.max(this.#read, least), most);
    return this.#readByAliases / this.#read > 0.99 - (0.89 * (size - least)) / (most - least);
  }

  #scalar(node: ScalarNode): Resolved {
    try {
      const found = resolveScalar(node);
      if (typeof found.value === 'number' && !Number.isFinite(found.value)) this.#hasNonFinite = true;
      return found;
    } catch (thrown) {
      if (thrown instanceof YamlRefused) throw refusedAt(node, thrown.message);
      throw thrown;
    }
  }

  /** Puts the pairs of a mapping into an object and gives the number of values read. */
  #fill(object: Record<string, YamlValue>, node: MappingNode): number {
    const own = new Set<string>();
    let size = 0;
    for (const { key, value } of node.pairs) {
      if (isMerge(key)) {
        size += this.#merge(object, value);
        continue;
      }
      const visitedKey = this.#key(key);
      const visited = this.visit(value);
      size += visitedKey.size + visited.size;
      const name = visitedKey.text;
      if (name === null) {
        this.#faults.set(object, refusedAt(key, 'null and numbers above 63 bits cannot be keys in JSON'));
        continue;
      }
      if (this.#options.repeatedKeys === 'refuse' && own.has(name)) {
        throw refusedAt(key, `the key ${JSON.stringify(name)} is there twice`);
      }
      own.add(name);
      put(object, name, visited.value);
    }
    return size;
  }

  #key(node: YamlNode): { text: string | null; size: number } {
    const target = resolved(node);
    if (target.kind !== 'scalar') {
      // A collection is read before it is refused, and may be faulty itself.
      this.visit(node);
      throw refusedAt(node, 'a list or mapping cannot be a key in JSON');
    }
    const { size } = node.kind === 'alias' ? this.visit(node) : { size: 1 };
    if (node.kind !== 'alias') this.#count(1);
    return { text: keyText(this.#scalar(target)), size };
  }

  #merge(object: Record<string, YamlValue>, source: YamlNode): number {
    if (source.kind === 'sequence') {
      let size = 0;
      // The first has the last word.
      for (const item of source.items.toReversed()) size += this.#mergeOne(object, item);
      return size;
    }
    return this.#mergeOne(object, source);
  }

  #mergeOne(object: Record<string, YamlValue>, source: YamlNode): number {
    const target = resolved(source);
    if (target.kind !== 'mapping') throw refusedAt(source, '"<<" takes a mapping or a list of mappings');
    const { value, size } = this.visit(source);
    for (const [key, inner] of Object.entries(value as Record<string, YamlValue>)) put(object, key, inner);
    const fault = this.#faults.get(value as object);
    if (fault !== undefined) this.#faults.set(object, fault);
    return size;
  }

  /** @throws YamlRefused when the value has something that JSON cannot say */
  refuseFaults(value: YamlValue): void {
    if (this.#faults.size > 0 || this.#hasNonFinite) this.#refuseFaultsIn(value, new Set());
  }

  #refuseFaultsIn(value: YamlValue, seen: Set<object>): void {
    if (typeof value === 'number' && !Number.isFinite(value)) {
      throw new YamlRefused('.nan and .inf are no numbers of JSON');
    }
    if (typeof value !== 'object' || value === null || seen.has(value)) return;
    seen.add(value);
    const fault = this.#faults.get(value);
    if (fault !== undefined) throw fault;
    for (const inner of Object.values(value)) this.#refuseFaultsIn(inner, seen);
  }
}

/** Assigning would not do: one key of mappings is `__proto__`. */
function put(object: Record<string, YamlValue>, key: string, value: YamlValue): void {
  if (key !== '__proto__') object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

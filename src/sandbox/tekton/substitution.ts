import type { Value } from './schema.ts';

/** Finds a variable by its path, e.g. `['params', 'image']`; undefined leaves the text as it stands. */
export type Lookup = (path: readonly string[]) => Value | undefined;

const VARIABLE =
  /\$\(((?:params|tasks|results|workspaces|context)(?:\.[A-Za-z0-9_-]+|\["[^"]+"\]|\['[^']+'\])+)(?:\[(\*|\d+)\])?\)/g;
const WHOLE = new RegExp(`^${VARIABLE.source}$`);

export interface Variable {
  text: string;
  path: string[];
  /** `*` or an index. */
  index: string | undefined;
}

const variable = (match: RegExpMatchArray): Variable => ({
  text: match[0],
  path: [...(match[1] ?? '').matchAll(/["']([^"']+)["']|([A-Za-z0-9_-]+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  ),
  index: match[2],
});

/** All Tekton variables in any value; `$(shell commands)` are none. */
export function variablesIn(value: unknown): Variable[] {
  return [
    ...JSON.stringify(value ?? null)
      .replaceAll('\\"', '"')
      .matchAll(VARIABLE),
  ].map(variable);
}

/**
 * Replaces variables in all strings of a value, once: what a variable holds is not looked at again.
 * An item that is `$(x[*])` alone becomes the items of the array x; a string that is `$(x[*])` alone becomes the value itself.
 */
export function substitute<T>(input: T, lookup: Lookup): T {
  return replace(input, lookup) as T;
}

function replace(input: unknown, lookup: Lookup): unknown {
  if (typeof input === 'string') return wholeValue(input, lookup) ?? inText(input, lookup);
  if (Array.isArray(input)) {
    return input.flatMap((item) => {
      const whole = typeof item === 'string' ? wholeValue(item, lookup) : undefined;
      return Array.isArray(whole) ? whole : [replace(item, lookup)];
    });
  }
  if (typeof input === 'object' && input !== null) {
    return Object.fromEntries(Object.entries(input).map(([key, value]) => [key, replace(value, lookup)]));
  }
  return input;
}

function wholeValue(text: string, lookup: Lookup): Value | undefined {
  const match = WHOLE.exec(text);
  if (!match) return undefined;
  const { path, index } = variable(match);
  return index === '*' ? lookup(path) : undefined;
}

function inText(text: string, lookup: Lookup): string {
  return text.replace(VARIABLE, (...match) => {
    const { path, index } = variable(match as unknown as RegExpMatchArray);
    const found = lookup(path);
    const value = index !== undefined && Array.isArray(found) ? found[Number(index)] : found;
    return typeof value === 'string' ? value : match[0];
  });
}

/** Looks `a.b` up in named values; `a.b.key` in a value that is an object. */
export function from(scope: string, values: ReadonlyMap<string, Value>): Lookup {
  return ([head, name = '', key]) => {
    if (head !== scope) return undefined;
    const value = values.get(name);
    if (key === undefined) return value;
    return typeof value === 'object' && !Array.isArray(value) ? value[key] : undefined;
  };
}

/** The first of several lookups that knows a path. */
export const firstOf =
  (...lookups: Lookup[]): Lookup =>
  (path) => {
    for (const lookup of lookups) {
      const found = lookup(path);
      if (found !== undefined) return found;
    }
    return undefined;
  };

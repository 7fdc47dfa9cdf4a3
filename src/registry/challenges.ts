/** One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1). */
export interface Challenge {
  /** In lower case. */
  scheme: string;
  /** By their names in lower case; of a name that is given twice the last. */
  parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+\-.^_`|~0-9A-Za-z]+/y;
const EQUALS = /[ \t]*=[ \t]*/y;
/** Between elements of the list, some of which may be empty. */
const BETWEEN = /[ \t,]*/y;
const QUOTED = /"((?:[^"\\]|\\.)*)"/y;
/** Instead of parameters, as Negotiate has it: not followed by another `=` or a quote, which would make it a parameter. */
const TOKEN68 = /[ \t]+[A-Za-z0-9\-._~+/]+=*(?=[ \t]*(?:,|$))/y;
const NEXT_ELEMENT = /[^,]*/y;

/**
 * Reads challenges by the grammar of RFC 9110: several in one header or in several, with parameters, with token68 or with
 * nothing. What does not fit the grammar is skipped up to the next comma; nothing is ever thrown.
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  return [header ?? []].flat().flatMap(challengesIn);
}

function challengesIn(text: string): Challenge[] {
  const found: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match !== null) at = pattern.lastIndex;
    return match;
  };

  while (at < text.length) {
    take(BETWEEN);
    const name = take(TOKEN)?.[0].toLowerCase();
    if (name === undefined) {
      take(NEXT_ELEMENT);
    } else if (take(EQUALS) !== null) {
      const value = take(QUOTED)?.[1]?.replace(/\\(.)/g, '$1') ?? take(TOKEN)?.[0];
      if (value !== undefined) found.at(-1)?.parameters.set(name, value);
      take(NEXT_ELEMENT);
    } else {
      found.push({ scheme: name, parameters: new Map() });
      // What follows is nothing, token68, or the first parameter, which the next round reads.
      take(TOKEN68);
    }
  }
  return found;
}

/**
 * A glob as Pipelines-as-Code reads it: `*` and `**` match anything, slashes included, `?` one character,
 * `[abc]` a class, `{a,b}` alternatives.
 */
export function glob(pattern: string): RegExp {
  let depth = 0;
  const source = pattern.replace(/\*+|\?|\{|\}|,|\[[^\]]*\]|[.+^$()|\\[\]]/g, (token) => {
    if (token.startsWith('*')) return '.*';
    if (token === '?') return '.';
    if (token === '{') {
      depth += 1;
      return '(?:';
    }
    if (token === '}') {
      depth -= 1;
      return ')';
    }
    if (token === ',') return depth > 0 ? '|' : ',';
    return token.length > 1 ? token.replace('[!', '[^') : `\\${token}`;
  });
  return new RegExp(`^${source}$`, 's');
}

/** Whether an annotation's list, `[main, release-*]` or one bare value, has an item that fits. */
export function anyGlob(annotation: string, value: string): boolean {
  return listOf(annotation).some((pattern) => pattern === value || glob(pattern).test(value));
}

/** The items of `[a, b]`; a bare value is a list of one. */
export function listOf(annotation: string): string[] {
  const inner = /^\s*\[(.*)\]\s*$/s.exec(annotation)?.[1] ?? annotation;
  // Commas inside of braces belong to the glob.
  return inner
    .split(/,(?![^{]*\})/)
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

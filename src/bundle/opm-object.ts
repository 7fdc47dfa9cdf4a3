import { isUtf8 } from 'node:buffer';
import { YamlRefused, yamlDocuments } from './yaml.ts';

/**
 * What opm reads from a manifest file: a JSON value where the file begins with `{`, else the first YAML document up to a
 * line that begins with `---`. Keys may be repeated, the last one counts.
 *
 * @returns undefined when opm refuses the file, null when its first document is empty
 */
export function objectOpmReads(bytes: Buffer): unknown {
  if (isJson(bytes)) return firstJsonValue(bytes.toString('utf8'));
  const first = isUtf8(bytes) ? firstDocument(bytes.toString('utf8')) : undefined;
  if (first === undefined) return undefined;
  try {
    const document = yamlDocuments(first, { repeatedKeys: 'last wins' }).next();
    return document.done ? null : document.value.value;
  } catch (thrown) {
    if (thrown instanceof YamlRefused) return undefined;
    throw thrown;
  }
}

/** So many bytes opm looks at to tell JSON from YAML. */
const SNIFFED = 30;

function isJson(bytes: Buffer): boolean {
  return /^[\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*\{/.test(
    bytes.subarray(0, SNIFFED).toString('utf8'),
  );
}

/** The lines up to the first separator, each with a line feed at its end; undefined where a separator has text behind it. */
function firstDocument(text: string): string | undefined {
  let document = '';
  for (let from = 0; from < text.length; ) {
    const end = text.indexOf('\n', from);
    const line = text.slice(from, end < 0 ? text.length : end).replace(/\r$/, '');
    from = end < 0 ? text.length : end + 1;
    if (line.startsWith('---')) {
      if (!/^---\s*(?:#|$)/.test(line)) return undefined;
      if (document !== '') return document;
    }
    document += `${line}\n`;
  }
  return document;
}

/** Go's decoder stops at the end of the first value. */
function firstJsonValue(text: string): unknown {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"?|[{}[\]]/gs)) {
    if (token === '{' || token === '[') depth += 1;
    else if (token === '}' || token === ']') depth -= 1;
    if (depth > 0) continue;
    try {
      return JSON.parse(text.slice(0, index + 1));
    } catch {
      return undefined;
    }
  }
  return undefined;
}

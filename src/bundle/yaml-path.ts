import { type Document, isAlias, isMap, isPair, isScalar, isSeq, type Pair, type ParsedNode, type YAMLMap } from 'yaml';

/** Keys and indexes from the root of a document to a value. */
export type Path = readonly (string | number)[];

/** The value at a path of plain data; undefined where there is none. */
export function valueAt(value: unknown, path: Path): unknown {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    at = (at as Record<string | number, unknown>)[key];
  }
  return at;
}

/** A key of a mapping with its value. */
export type ParsedPair = Pair<ParsedNode, ParsedNode | null>;

/** A node of a parsed document and, when it is a value of a mapping, its pair and that mapping. */
export interface Found {
  node: ParsedNode | null;
  within: { map: YAMLMap; pair: ParsedPair } | null;
}

/**
 * The node at a path, the way plain data is made of the document: aliases stand for their anchors, merged mappings give
 * what the mapping itself has not. An alias at the end is given as such.
 */
export function nodeAt(document: Document.Parsed, path: Path): Found | undefined {
  let found: Found | undefined = { node: document.contents as ParsedNode | null, within: null };
  for (const key of path) {
    const node: ParsedNode | null | undefined = resolved(document, found.node);
    found = isMap(node) ? pairOf(document, node as YAMLMap, String(key)) : undefined;
    if (isSeq(node)) {
      const item: unknown = node.items[Number(key)];
      found = item === undefined || isPair(item) ? undefined : { node: item as ParsedNode, within: null };
    }
    if (found === undefined) return undefined;
  }
  return found;
}

/** What an alias stands for; any other node as it is. */
export function resolved(document: Document.Parsed, node: ParsedNode | null): ParsedNode | null {
  return isAlias(node) ? ((node.resolve(document) as ParsedNode | undefined) ?? null) : node;
}

function pairOf(document: Document.Parsed, map: YAMLMap, key: string): Found | undefined {
  const pairs = map.items as ParsedPair[];
  const own = pairs.find((pair) => isScalar(pair.key) && String(pair.key.value) === key);
  if (own !== undefined) return { node: own.value, within: { map, pair: own } };
  for (const pair of pairs) {
    if (!isScalar(pair.key) || pair.key.source !== '<<') continue;
    const merged = resolved(document, pair.value);
    const sources: (ParsedNode | null)[] = isSeq(merged) ? (merged.items as ParsedNode[]) : [merged];
    for (const source of sources) {
      const mapping = resolved(document, source);
      const found = isMap(mapping) ? pairOf(document, mapping as YAMLMap, key) : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

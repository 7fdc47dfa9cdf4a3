import { keyOf } from './yaml/construct.ts';
import { isMerge, type MappingNode, type PairNode, resolved, type YamlNode } from './yaml/nodes.ts';

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

/** A node of a document and, when it is a value of a mapping, its pair and that mapping. */
export interface Found {
  node: YamlNode;
  within: { map: MappingNode; pair: PairNode } | null;
}

/**
 * The node at a path, the way plain data is made of the document: aliases stand for their anchors, of the pairs that give
 * a key a value the last one counts. An alias at the end is given as such.
 */
export function nodeAt(root: YamlNode, path: Path): Found | undefined {
  let found: Found | undefined = { node: root, within: null };
  for (const key of path) {
    const node = resolved(found.node);
    found = node.kind === 'mapping' ? pairOf(node, String(key)) : undefined;
    if (node.kind === 'sequence') {
      const item = node.items[Number(key)];
      found = item === undefined ? undefined : { node: item, within: null };
    }
    if (found === undefined) return undefined;
  }
  return found;
}

type Index = ReadonlyMap<string | null, PairNode>;
const indexes = new WeakMap<MappingNode, Index | null>();

/** Pairs by their keys, as a mapping may have a hundred thousand; null where some come from other mappings. */
function indexOf(map: MappingNode): Index | null {
  const known = indexes.get(map);
  if (known !== undefined) return known;
  const isWhole = !map.pairs.some(({ key }) => isMerge(key));
  const index = isWhole ? new Map(map.pairs.map((pair) => [keyOf(pair.key), pair])) : null;
  indexes.set(map, index);
  return index;
}

function pairOf(map: MappingNode, key: string): Found | undefined {
  const index = indexOf(map);
  if (index !== null) {
    const pair = index.get(key);
    return pair && { node: pair.value, within: { map, pair } };
  }
  for (const pair of map.pairs.toReversed()) {
    if (!isMerge(pair.key)) {
      if (keyOf(pair.key) === key) return { node: pair.value, within: { map, pair } };
      continue;
    }
    const sources = pair.value.kind === 'sequence' ? pair.value.items : [pair.value];
    for (const source of sources) {
      const merged = resolved(source);
      const found = merged.kind === 'mapping' ? pairOf(merged, key) : undefined;
      if (found !== undefined) return found;
    }
  }
  return undefined;
}

import type { Style } from './scan-scalars.ts';

interface Place {
  /** Where the value begins, after its anchor and tag, and where it ends. UTF-16 code units. */
  from: number;
  to: number;
  /** From 0. */
  line: number;
  column: number;
  /** In full (`tag:yaml.org,2002:str`); empty when there is none. */
  tag: string;
}

export interface ScalarNode extends Place {
  kind: 'scalar';
  value: string;
  style: Style;
  /** Whether the text alone says what it is: no quotes, or the tag `!`. */
  implicit: boolean;
}

export interface PairNode {
  key: YamlNode;
  value: YamlNode;
  /** Just after the colon; null when there is none. UTF-16 code units. */
  valueFrom: number | null;
}

export interface MappingNode extends Place {
  kind: 'mapping';
  flow: boolean;
  pairs: PairNode[];
}

export interface SequenceNode extends Place {
  kind: 'sequence';
  flow: boolean;
  items: YamlNode[];
}

export interface AliasNode extends Place {
  kind: 'alias';
  target: YamlNode;
}

/** A part of a YAML document and where it is written. */
export type YamlNode = ScalarNode | MappingNode | SequenceNode | AliasNode;

/** What an alias stands for; any other node as it is. */
export function resolved(node: YamlNode): Exclude<YamlNode, AliasNode> {
  let at = node;
  while (at.kind === 'alias') at = at.target;
  return at;
}

const MERGE = 'tag:yaml.org,2002:merge';

/** Whether the key is `<<`, by which the pairs of other mappings are taken over. */
export function isMerge(key: YamlNode): boolean {
  return key.kind === 'scalar' && key.value === '<<' && (key.implicit || key.tag === MERGE);
}

import { type ChannelChange, type Edge, edgeKey, edgesOf, type PackageChange } from './changes.ts';
import type { ChannelModel } from './model.ts';

/** GitLab draws a diagram by itself only up to so many characters (opm-and-index-db.md §4.4). */
export const LONGEST_DIAGRAM = 2000;

interface Node {
  name: string;
  /** Bundles that were there before and still are come in as context only. */
  state: 'added' | 'removed' | 'kept';
}

/**
 * A Mermaid diagram of what changed in a channel: new and removed bundles and edges, and the kept bundles at their
 * other ends. Updates go from left to right.
 *
 * @returns undefined when nothing can be drawn or the diagram would be longer than `longest` characters
 */
export function channelDiagram(
  change: PackageChange,
  channel: ChannelChange,
  longest = LONGEST_DIAGRAM,
): string | undefined {
  const before = change.before?.channels.get(channel.name);
  const after = change.after?.channels.get(channel.name);
  const drawing = withContext(channel, before, after);
  if (drawing.nodes.length === 0) return undefined;
  const head = drawn(drawing, change, new Set(channel.heads.after));
  return head.length <= longest ? head : undefined;
}

interface Drawing {
  nodes: Node[];
  edges: { edge: Edge; state: Node['state'] }[];
}

function withContext(
  channel: ChannelChange,
  before: ChannelModel | undefined,
  after: ChannelModel | undefined,
): Drawing {
  const [added, removed] = [new Set(channel.edges.added.map(edgeKey)), new Set(channel.edges.removed.map(edgeKey))];
  const changedNames = new Set([...channel.added, ...channel.removed]);
  const ends = [...channel.edges.added, ...channel.edges.removed].flatMap(({ from, to }) => [from, to]);
  const shown = new Set([...changedNames, ...ends, ...channel.skipRanges.map(({ name }) => name)]);
  // One step on from every changed bundle, so that the reader sees where in the channel this happens.
  const now = edgesOf(after);
  for (const { from, to } of now) {
    if (changedNames.has(from)) shown.add(to);
    if (changedNames.has(to)) shown.add(from);
  }
  const stateOf = (name: string): Node['state'] =>
    channel.added.includes(name) ? 'added' : channel.removed.includes(name) ? 'removed' : 'kept';
  const drawnEdges = [...now, ...edgesOf(before).filter((edge) => removed.has(edgeKey(edge)))].filter(
    ({ from, to }) => shown.has(from) && shown.has(to),
  );
  return {
    nodes: [...shown].sort().map((name) => ({ name, state: stateOf(name) })),
    edges: drawnEdges.map((edge) => ({
      edge,
      state: added.has(edgeKey(edge)) ? 'added' : removed.has(edgeKey(edge)) ? 'removed' : 'kept',
    })),
  };
}

function drawn({ nodes, edges }: Drawing, change: PackageChange, heads: ReadonlySet<string>): string {
  const ids = new Map(nodes.map(({ name }, index) => [name, `n${index}`]));
  const lines = ['graph LR'];
  for (const { name, state } of nodes) {
    const style = state === 'kept' ? '' : `:::${state}`;
    const text = diagramText(shortName(name, change.package));
    lines.push(`${ids.get(name)}${heads.has(name) ? `(["${text}"])` : `["${text}"]`}${style}`);
  }
  const colours: string[] = [];
  for (const [index, { edge, state }] of edges.entries()) {
    const arrow = state === 'removed' ? '-.->' : '-->';
    const label = edge.kind === 'skips' ? '|skips|' : '';
    lines.push(`${ids.get(edge.from)} ${arrow}${label} ${ids.get(edge.to)}`);
    if (state !== 'kept') colours.push(`linkStyle ${index} stroke:${state === 'added' ? GREEN : RED}`);
  }
  const styles = STYLES.filter(({ state }) => nodes.some((node) => node.state === state)).map(({ style }) => style);
  return [...lines, ...colours, ...styles].join('\n');
}

const GREEN = '#108548';
const RED = '#dd2b0e';
const STYLES = [
  { state: 'added', style: `classDef added stroke:${GREEN},stroke-width:2px` },
  { state: 'removed', style: `classDef removed stroke:${RED},stroke-dasharray:4` },
] as const;

/** The package's own name says nothing inside its diagram: `etcdoperator.v0.9.4` of `etcd` stays, `etcd.v1.0.0` is `v1.0.0`. */
function shortName(name: string, packageName: string): string {
  return name.startsWith(`${packageName}.`) ? name.slice(packageName.length + 1) : name;
}

/** Anybody may have chosen a bundle's name: only characters that mean nothing to Mermaid, HTML and Markdown are kept. */
function diagramText(name: string): string {
  return name.replace(/[^A-Za-z0-9._+ -]/g, '?').slice(0, 80);
}

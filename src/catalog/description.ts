import { type ChannelChange, composeChanges, type PackageChange } from './changes.ts';
import { channelDiagram, LONGEST_DIAGRAM } from './graph.ts';
import { cell, code, table } from './markdown.ts';
import type { BundleModel } from './model.ts';

export interface DescribedRequest {
  id: number;
  /** Commit message of the request; its body lists what the client asked for. */
  summary: { subject: string; body: string };
}

/** Characters; GitLab takes 1,048,576, nobody reads them. */
const LONGEST = 200_000;
/** GitLab draws at most so many diagrams of a page by itself. */
const MOST_DIAGRAMS = 50;
const MOST_ROWS = 100;

/**
 * The description of a merge request, in GitLab's Markdown, for those who decide about it: which requests, what changes
 * per package and channel, the changed part of each update graph, the bundles. Whatever others wrote stands in code
 * spans.
 *
 * @param of.packages the changes of the requests in their order; several of one package are told as one; null where it
 *   is no catalog that changes
 * @param of.publicUrl base URL of the service; without it requests are named and not linked
 */
export function describeChange(of: {
  requests: readonly DescribedRequest[];
  packages: readonly PackageChange[] | null;
  publicUrl?: string | undefined;
}): string {
  const packages = composeChanges(of.packages ?? []);
  const sections = [
    ...of.requests.map((request) => requestLines(request, of.publicUrl)),
    ...(of.packages === null
      ? []
      : [packages.length === 0 ? 'No package of the catalog changes.' : `## Packages\n\n${packageTable(packages)}`]),
  ];
  const budget = { diagrams: MOST_DIAGRAMS };
  const legend = sections.length;
  for (const change of packages) {
    const section = packageSection(change, budget);
    if (section !== undefined) sections.push(section);
  }
  if (budget.diagrams < MOST_DIAGRAMS) sections.splice(legend, 0, LEGEND);
  return withinLimit(sections);
}

const LEGEND =
  'In the diagrams updates go from left to right; green is new, red is gone, a rounded box heads its channel.';

function requestLines({ id, summary }: DescribedRequest, publicUrl: string | undefined): string {
  const name =
    publicUrl === undefined ? `request ${id}` : `[request ${id}](${publicUrl.replace(/\/+$/, '')}/api/v1/builds/${id})`;
  const head = `Automated merge request for ${name}: ${code(summary.subject)}`;
  const body = summary.body.split('\n').filter((line) => line.trim() !== '');
  return body.length === 0 ? head : `${head}\n\n${body.map((line) => `- ${code(line, 2000)}`).join('\n')}`;
}

function packageTable(packages: readonly PackageChange[]): string {
  const rows = packages.map((change) => [
    cell(change.package),
    KINDS[change.kind],
    String(change.bundles.added.length + change.bundles.replaced.length),
    String(change.bundles.removed.length),
    change.channels.map(({ name }) => cell(name)).join(', ') || '–',
    defaultChannel(change),
  ]);
  return limited(['Package', 'Change', 'Bundles in', 'Bundles out', 'Channels changed', 'Default channel'], rows);
}

const KINDS = {
  added: '**new**',
  removed: '**removed**',
  changed: 'changed',
  rewritten: 'content only, same update graph',
} as const;

function defaultChannel({ defaultChannel: { before, after } }: PackageChange): string {
  if (before === after || before === undefined) return after === undefined ? '–' : cell(after);
  return after === undefined ? `${cell(before)} → –` : `${cell(before)} → **${cell(after)}**`;
}

function packageSection(change: PackageChange, budget: { diagrams: number }): string | undefined {
  const parts: string[] = [];
  if (change.kind !== 'removed' && change.channels.length > 0) {
    parts.push(channelTable(change.channels));
    for (const channel of change.channels) {
      const picture = channel.kind === 'removed' ? undefined : diagramOrEdges(change, channel, budget);
      if (picture !== undefined) parts.push(`#### Channel ${code(channel.name)}\n\n${picture}`);
    }
  }
  const bundles = bundleRows(change);
  if (bundles.length > 0) parts.push(`#### Bundles\n\n${limited(['', 'Bundle', 'Version', 'Image'], bundles)}`);
  const deprecations = [
    ...change.deprecations.added.map((name) => ['new', cell(name)]),
    ...change.deprecations.removed.map((name) => ['removed', cell(name)]),
  ];
  if (deprecations.length > 0) parts.push(`#### Deprecations\n\n${limited(['', 'Of'], deprecations)}`);
  return parts.length === 0 ? undefined : [`### ${code(change.package)}`, ...parts].join('\n\n');
}

function channelTable(channels: readonly ChannelChange[]): string {
  const names = (list: readonly string[]) => list.map((name) => cell(name)).join(', ') || '–';
  const rows = channels.map(({ name, kind, heads, added, removed }) => [
    cell(name),
    kind === 'changed' ? 'changed' : `**${kind === 'added' ? 'new' : 'removed'}**`,
    names(heads.before) === names(heads.after) ? names(heads.after) : `${names(heads.before)} → ${names(heads.after)}`,
    `+${added.length} −${removed.length}`,
  ]);
  return limited(['Channel', 'Change', 'Head', 'Bundles'], rows);
}

/** The diagram of a channel, or a list of its changed edges where a diagram would not be drawn. */
function diagramOrEdges(
  change: PackageChange,
  channel: ChannelChange,
  budget: { diagrams: number },
): string | undefined {
  const diagram = budget.diagrams > 0 ? channelDiagram(change, channel, LONGEST_DIAGRAM) : undefined;
  if (diagram !== undefined) {
    budget.diagrams--;
    return `\`\`\`mermaid\n${diagram}\n\`\`\``;
  }
  const rows = [
    ...channel.edges.added.map((edge) => ['new', cell(edge.from), edge.kind, cell(edge.to)]),
    ...channel.edges.removed.map((edge) => ['removed', cell(edge.from), edge.kind, cell(edge.to)]),
  ].map(([state = '', from = '', kind = '', to = '']) => [state, from, `← ${kind}`, to]);
  return rows.length === 0 ? undefined : limited(['Update', 'From', '', 'To'], rows);
}

function bundleRows({ bundles }: PackageChange): string[][] {
  const row = (state: string, { name, version, image }: BundleModel) => [
    state,
    cell(name),
    version === undefined ? '–' : cell(version),
    cell(image),
  ];
  return [
    ...bundles.added.map((bundle) => row('new', bundle)),
    ...bundles.replaced.flatMap(({ before, after }) => [row('overwritten', before), row('by', after)]),
    ...bundles.removed.map((bundle) => row('removed', bundle)),
  ];
}

function limited(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const text = table(head, rows.slice(0, MOST_ROWS));
  return rows.length > MOST_ROWS ? `${text}\n\n… and ${rows.length - MOST_ROWS} more.` : text;
}

/** Whole sections only: half a code block would let the text behind it out. */
function withinLimit(sections: readonly string[]): string {
  const kept: string[] = [];
  let length = 0;
  for (const section of sections) {
    length += section.length + 2;
    if (length > LONGEST) {
      kept.push(`… and ${sections.length - kept.length} more sections.`);
      break;
    }
    kept.push(section);
  }
  return `${kept.join('\n\n')}\n`;
}

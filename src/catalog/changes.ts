import type { BundleModel, ChannelModel, PackageModel } from './model.ts';

export interface Edge {
  /** The newer bundle's predecessor: the update goes from here… */
  from: string;
  /** …to here. */
  to: string;
  kind: 'replaces' | 'skips';
}

export interface ChannelChange {
  name: string;
  kind: 'added' | 'removed' | 'changed';
  heads: { before: readonly string[]; after: readonly string[] };
  /** Names of bundles that came into the channel, or left it. */
  added: string[];
  removed: string[];
  edges: { added: Edge[]; removed: Edge[] };
  /** Entries that may be updated to from another range of versions than before. */
  skipRanges: { name: string; before: string | undefined; after: string | undefined }[];
}

/** What happens to one package, for people and for later comparisons. */
export interface PackageChange {
  package: string;
  /** `rewritten`: the files differ, bundles and graph do not. */
  kind: 'added' | 'removed' | 'changed' | 'rewritten';
  before: PackageModel | undefined;
  after: PackageModel | undefined;
  defaultChannel: { before: string | undefined; after: string | undefined };
  bundles: {
    added: BundleModel[];
    removed: BundleModel[];
    /** Same name, other image: a bundle overwritten. */
    replaced: { name: string; before: BundleModel; after: BundleModel }[];
  };
  deprecations: { added: string[]; removed: string[] };
  /** Changed channels only, by name. */
  channels: ChannelChange[];
}

/**
 * What differs between two states of some packages, by package name.
 *
 * @param rewritten packages known to have changed in their files; told about even when their graphs did not
 */
export function changesBetween(
  before: readonly PackageModel[],
  after: readonly PackageModel[],
  rewritten: readonly string[] = [],
): PackageChange[] {
  const [old, now] = [byName(before), byName(after)];
  const names = [...new Set([...old.keys(), ...now.keys()])].sort();
  return names.flatMap((name) => {
    const change = changeOf(name, old.get(name), now.get(name));
    return change.kind === 'rewritten' && !rewritten.includes(name) ? [] : [change];
  });
}

/**
 * One change per package out of several made one after the other, each list in its order: from what the first found to
 * what the last left. Packages that end as they began are left out.
 */
export function composeChanges(changes: readonly PackageChange[]): PackageChange[] {
  return [...Map.groupBy(changes, (change) => change.package)]
    .map(([name, group]) => changeOf(name, group[0]?.before, group.at(-1)?.after))
    .filter(({ before, after }) => before !== undefined || after !== undefined)
    .sort((a, b) => (a.package < b.package ? -1 : 1));
}

function changeOf(name: string, before: PackageModel | undefined, after: PackageModel | undefined): PackageChange {
  const bundles = bundleChanges(before?.bundles ?? new Map(), after?.bundles ?? new Map());
  const deprecations = {
    added: [...(after?.deprecated ?? [])].filter((key) => !before?.deprecated.has(key)),
    removed: [...(before?.deprecated ?? [])].filter((key) => !after?.deprecated.has(key)),
  };
  const channels = channelChanges(before?.channels ?? new Map(), after?.channels ?? new Map());
  const defaultChannel = { before: before?.defaultChannel, after: after?.defaultChannel };
  const counts = [bundles.added, bundles.removed, bundles.replaced, deprecations.added, deprecations.removed, channels];
  const isSame = counts.every((list) => list.length === 0) && defaultChannel.before === defaultChannel.after;
  return {
    package: name,
    kind: before === undefined ? 'added' : after === undefined ? 'removed' : isSame ? 'rewritten' : 'changed',
    before,
    after,
    defaultChannel,
    bundles,
    deprecations,
    channels,
  };
}

function bundleChanges(
  before: ReadonlyMap<string, BundleModel>,
  after: ReadonlyMap<string, BundleModel>,
): PackageChange['bundles'] {
  return {
    added: [...after.values()].filter(({ name }) => !before.has(name)),
    removed: [...before.values()].filter(({ name }) => !after.has(name)),
    replaced: [...after.values()].flatMap((bundle) => {
      const old = before.get(bundle.name);
      return old === undefined || old.image === bundle.image ? [] : [{ name: bundle.name, before: old, after: bundle }];
    }),
  };
}

function channelChanges(
  before: ReadonlyMap<string, ChannelModel>,
  after: ReadonlyMap<string, ChannelModel>,
): ChannelChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const [old, now] = [before.get(name), after.get(name)];
    const [oldNames, newNames] = [entryNames(old), entryNames(now)];
    const [oldEdges, newEdges] = [edgesOf(old), edgesOf(now)];
    const [oldKeys, newKeys] = [new Set(oldEdges.map(edgeKey)), new Set(newEdges.map(edgeKey))];
    const change: ChannelChange = {
      name,
      kind: old === undefined ? 'added' : now === undefined ? 'removed' : 'changed',
      heads: { before: old?.heads ?? [], after: now?.heads ?? [] },
      added: [...newNames].filter((entry) => !oldNames.has(entry)),
      removed: [...oldNames].filter((entry) => !newNames.has(entry)),
      edges: {
        added: newEdges.filter((edge) => !oldKeys.has(edgeKey(edge))),
        removed: oldEdges.filter((edge) => !newKeys.has(edgeKey(edge))),
      },
      skipRanges: rangeChanges(old, now),
    };
    const lists = [change.added, change.removed, change.edges.added, change.edges.removed, change.skipRanges];
    return change.kind === 'changed' && lists.every((list) => list.length === 0) ? [] : [change];
  });
}

/** The edges of a channel's update graph, from old to new, in the order of its entries. */
export function edgesOf(channel: ChannelModel | undefined): Edge[] {
  return (channel?.entries ?? []).flatMap(({ name, replaces, skips }) => [
    ...(replaces === undefined ? [] : [{ from: replaces, to: name, kind: 'replaces' as const }]),
    ...skips.filter((from) => from !== replaces).map((from) => ({ from, to: name, kind: 'skips' as const })),
  ]);
}

/** Equal for equal edges. */
export function edgeKey({ from, to, kind }: Edge): string {
  return JSON.stringify([from, to, kind]);
}

function rangeChanges(before: ChannelModel | undefined, after: ChannelModel | undefined): ChannelChange['skipRanges'] {
  const old = new Map((before?.entries ?? []).map(({ name, skipRange }) => [name, skipRange]));
  return (after?.entries ?? [])
    .filter(({ name, skipRange }) => old.get(name) !== skipRange)
    .map(({ name, skipRange }) => ({ name, before: old.get(name), after: skipRange }));
}

function entryNames(channel: ChannelModel | undefined): Set<string> {
  return new Set((channel?.entries ?? []).map((entry) => entry.name));
}

function byName(models: readonly PackageModel[]): Map<string, PackageModel> {
  return new Map(models.map((model) => [model.name, model]));
}

import { type FbcBlob, type FbcBundle, type FbcEntry, isBundle, isChannel, isDeprecations, isPackage } from './fbc.ts';
import { goStruct, goText } from './go-json.ts';

/** A package's update graph without the manifests: what changes are computed on. */
export interface PackageModel {
  name: string;
  defaultChannel: string;
  channels: ReadonlyMap<string, ChannelModel>;
  bundles: ReadonlyMap<string, BundleModel>;
  /** `olm.bundle name`, `olm.channel name` or `olm.package` of each deprecation. */
  deprecated: ReadonlySet<string>;
}

export interface ChannelModel {
  entries: readonly EntryModel[];
  /** Bundles that no other entry of the channel replaces or skips; a sound channel has one. */
  heads: readonly string[];
}

export interface EntryModel {
  name: string;
  replaces: string | undefined;
  skips: readonly string[];
  skipRange: string | undefined;
}

export interface BundleModel {
  name: string;
  image: string;
  /** From the `olm.package` property. */
  version: string | undefined;
}

/** The packages defined by `olm.package` blobs, each with its channels, bundles and deprecations, by name. */
export function packageModels(blobs: readonly FbcBlob[]): PackageModel[] {
  const of = <T extends FbcBlob & { package: string }>(found: T[], name: string) =>
    found.filter((blob) => blob.package === name);
  return blobs
    .filter(isPackage)
    .map(({ name, defaultChannel }) => ({
      name,
      defaultChannel,
      channels: new Map(
        of(blobs.filter(isChannel), name).map((channel) => [channel.name, channelModel(channel.entries)]),
      ),
      bundles: new Map(
        of(blobs.filter(isBundle), name).map((bundle) => [
          bundle.name,
          { name: bundle.name, image: bundle.image, version: versionOf(bundle) },
        ]),
      ),
      deprecated: new Set(
        of(blobs.filter(isDeprecations), name).flatMap(({ entries }) =>
          entries.map(({ reference }) => `${reference.schema} ${reference.name}`.trim()),
        ),
      ),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function channelModel(entries: readonly FbcEntry[]): ChannelModel {
  const below = new Set(entries.flatMap((entry) => [entry.replaces, ...entry.skips]));
  return {
    entries: entries.map(({ name, replaces, skips, skipRange }) => ({
      name,
      replaces: replaces || undefined,
      skips,
      skipRange: skipRange || undefined,
    })),
    heads: entries.map((entry) => entry.name).filter((name) => !below.has(name)),
  };
}

const PackageProperty = goStruct({ version: goText });

function versionOf(bundle: FbcBundle): string | undefined {
  const property = bundle.properties.find(({ type }) => type === 'olm.package');
  return PackageProperty.safeParse(property?.value).data?.version || undefined;
}

import { Failure } from '../errors/failure.ts';

/** Where a repository's pipelines run, as its entry says; what it leaves out is the default. */
export interface Place {
  cluster?: string | undefined;
  namespace?: string | undefined;
}

/**
 * The cluster of a place, with the namespace that counts there.
 *
 * @throws Failure `configuration_invalid` when no cluster has the name
 */
export function clusterAt<Cluster extends { name?: string; namespace: string }>(
  { cluster, clusters }: { cluster: Cluster; clusters: readonly Cluster[] },
  { cluster: name, namespace }: Place,
): Cluster {
  const found = name === undefined ? cluster : clusters.find((one) => one.name === name);
  if (found === undefined) throw new Failure('configuration_invalid', unknown(name ?? ''));
  return { ...found, namespace: namespace ?? found.namespace };
}

/** Names that stand twice, and names nobody has: where, and what is wrong. */
export function clusterMistakes(config: {
  clusters: readonly { name: string }[];
  catalogs: readonly Place[];
  bundleRepository?: Place | undefined;
}): [path: (string | number)[], message: string][] {
  const names = config.clusters.map(({ name }) => name);
  const twice = names.flatMap((name, at): [(string | number)[], string][] =>
    names.indexOf(name) === at ? [] : [[['clusters', at, 'name'], `there are two clusters ${name}`]],
  );
  const places: [(string | number)[], Place][] = config.catalogs.map((catalog, at) => [['catalogs', at], catalog]);
  if (config.bundleRepository !== undefined) places.push([['bundleRepository'], config.bundleRepository]);
  const missing = places.flatMap(([path, { cluster }]): [(string | number)[], string][] =>
    cluster === undefined || names.includes(cluster) ? [] : [[[...path, 'cluster'], unknown(cluster)]],
  );
  return [...twice, ...missing];
}

const unknown = (name: string) => `no cluster under "clusters" has the name ${JSON.stringify(name)}`;

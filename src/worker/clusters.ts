import { clusterAt, type Place } from '../config/clusters.ts';
import type { Config } from '../config/schema.ts';
import { type Cluster, createCluster } from '../pipeline/cluster.ts';
import type { Log } from '../telemetry/log.ts';

/** The clusters and namespaces in which pipelines run, each opened once: all who wait in a namespace share its watch. */
export interface Clusters {
  /** @throws Failure `configuration_invalid` when no cluster has the name */
  at(place: Place): Cluster;
  close(): Promise<void>;
}

/** Nothing is connected before the first call to one of them. */
export function openClusters(
  config: Pick<Config, 'cluster' | 'clusters'> & { deadlines: Pick<Config['deadlines'], 'call' | 'poll'> },
  log: Log,
): Clusters {
  const { call, poll } = config.deadlines;
  const open = new Map<string, Cluster>();
  return {
    at(place) {
      const target = clusterAt(config, place);
      const key = `${target.url} ${target.tokenFile} ${target.namespace}`;
      const cluster = open.get(key) ?? createCluster(target, { call, poll, log });
      open.set(key, cluster);
      return cluster;
    },
    async close() {
      await Promise.all([...open.values()].map((cluster) => cluster.close()));
    },
  };
}

import { stringify } from 'yaml';
import type { ClusterConfig } from '../config/schema.ts';
import { type Layout, writePrivate } from './layout.ts';

/** OCP version → opm, as many as the sandbox offers (request-handling.md §4.1). */
export const OPM_VERSIONS = {
  'v4.14': 'opm-v1.48.0',
  'v4.15': 'opm-v1.48.0',
  'v4.16': 'opm-v1.48.0',
  'v4.17': 'opm-v1.48.0',
  'v4.18': 'opm-v1.48.0',
  'v4.19': 'opm-v1.48.0',
  'v4.20': 'opm-v1.73.0',
  'v4.21': 'opm-v1.73.0',
  'v4.22': 'opm-v1.73.0',
};

/** Where the parts of a sandbox are, as the service and its clients need them. */
export interface Addresses {
  databaseUrl: string;
  /** host:port */
  registry: string;
  gitlabUrl: string;
  kubernetesUrl: string;
  kubernetesCa: string;
  kubernetesTokenFile: string;
  kubeconfig: string;
  apiUrl: string;
}

export const API_USER_HEADER = 'X-Remote-User';
export const NAMESPACE = 'catalogs';
/** GitLab project in which bundles are regenerated. */
export const BUNDLE_PROJECT = 'bundles/regenerate-bundle';
/** Holds what a team of operator releases would have: the right to push to its indexes. */
export const RELEASE_USER = 'release';

/** OCP version of the seeded index; its opm is the only one that a sandbox needs. */
export const SEEDED_VERSION = 'v4.19';
export const ARCHES = ['amd64', 'arm64', 'ppc64le', 's390x'];

/** The binary image of an OCP version. */
export const binaryImageOf = (registry: string, version: string) => `${registry}/base/operator-registry:${version}`;

/** Pull specs and addresses that people and tests start from. */
export interface Seeded {
  binaryImage: string;
  fromIndex: string;
  catalogRepoUrl: string;
  gitlabToken: string;
  /** Example operator → bundle that the seeded index does not have yet, by digest. */
  newest: Record<string, string>;
}

/** Keys of the service's configuration with their values. */
export type Settings = Record<string, unknown>;

export interface ServiceFileOptions {
  opmDir: string;
  /** Overrides of `deadlines`, in milliseconds. */
  deadlines: Record<string, number>;
  /** More of the configuration, laid over what is there section by section. */
  settings: Settings;
}

/** The sandbox's cluster, as the service connects to it. */
export function serviceCluster(at: Addresses): ClusterConfig {
  return {
    url: at.kubernetesUrl,
    namespace: NAMESPACE,
    tokenFile: at.kubernetesTokenFile,
    caFile: at.kubernetesCa,
  };
}

/** Writes the service's configuration and the files it names; nothing in it says that this is a sandbox. */
export function writeServiceConfig(layout: Layout, at: Addresses, options: ServiceFileOptions) {
  const { identity, path } = layout;
  writePrivate(path('secrets', 'sealing-key'), identity.secretKey);
  writePrivate(path('secrets', 'registry.json'), dockerConfig(at.registry, 'service', identity.registryUsers.service));
  const { hostname, port } = new URL(at.apiUrl);
  const config = {
    databaseUrl: at.databaseUrl,
    secretKeyFile: 'secrets/sealing-key',
    stateDir: 'state',
    api: { host: hostname, port: Number(port), userHeader: API_USER_HEADER, loginDisabled: true, maxPerPage: 50 },
    storage: {
      logsDir: path('request-logs'),
      relatedBundlesDir: path('related-bundles'),
      nestedBundlesDir: path('nested-bundles'),
    },
    registry: {
      output: at.registry,
      pushTemplate: '{registry}/indexwright/iib-build:{request_id}',
      authFile: path('secrets', 'registry.json'),
      insecure: [at.registry],
      artifactRegistry: at.registry,
      artifactTemplate: '{registry}/indexwright/index-db:{tag}',
    },
    catalogsDir: 'catalogs.d',
    bundleRepository: { repository: `${at.gitlabUrl}/${BUNDLE_PROJECT}`, tokenFile: path('secrets', 'gitlab-token') },
    cluster: serviceCluster(at),
    binaryImages: Object.fromEntries(
      ['prod', 'stage', 'dev'].map((scope) => [
        scope,
        Object.fromEntries(Object.keys(OPM_VERSIONS).map((version) => [version, binaryImageOf(at.registry, version)])),
      ]),
    ),
    opm: { dir: options.opmDir, versions: OPM_VERSIONS, default: 'opm-v1.48.0' },
    deadlines: {
      patience: 60_000,
      runAppears: 60_000,
      runStarts: 600_000,
      runEnds: 600_000,
      merge: 120_000,
      call: 20_000,
      poll: 10_000,
      ...options.deadlines,
    },
  };
  writePrivate(path('config.yaml'), stringify(laidOver(config, options.settings)));
}

function laidOver(config: Settings, settings: Settings): Settings {
  const isSection = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  const sections = Object.entries(settings).map(([key, value]) => [
    key,
    isSection(value) && isSection(config[key]) ? { ...(config[key] as Settings), ...(value as Settings) } : value,
  ]);
  return { ...config, ...Object.fromEntries(sections) };
}

/** Writes `DIR/env`, lines a shell can source, and the client's registry credentials. */
export function writeEnvironment(layout: Layout, at: Addresses, seeded: Seeded): void {
  const { identity, path } = layout;
  writePrivate(path('secrets', 'client.json'), dockerConfig(at.registry, RELEASE_USER, identity.registryUsers.release));
  const values = {
    API_URL: at.apiUrl,
    API_USER_HEADER,
    REGISTRY: at.registry,
    REGISTRY_AUTH_FILE: path('secrets', 'client.json'),
    GITLAB_URL: at.gitlabUrl,
    GITLAB_TOKEN: seeded.gitlabToken,
    CATALOG_REPO_URL: seeded.catalogRepoUrl,
    FROM_INDEX: seeded.fromIndex,
    BINARY_IMAGE: seeded.binaryImage,
    OVERWRITE_TOKEN: `${RELEASE_USER}:${identity.registryUsers.release}`,
    DATABASE_URL: at.databaseUrl,
    KUBECONFIG: at.kubeconfig,
    ARTIFACT_REPO: `${at.registry}/indexwright/index-db`,
  };
  const lines = Object.entries(values).map(([key, value]) => `${key}='${value.replaceAll("'", "'\\''")}'\n`);
  writePrivate(path('env'), lines.join(''));
}

/** A docker config that lets one user in. */
export function dockerConfig(registry: string, user: string, password: string): string {
  const auth = Buffer.from(`${user}:${password}`).toString('base64');
  return JSON.stringify({ auths: { [registry]: { auth } } });
}

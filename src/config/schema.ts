import { z } from 'zod';
import { clusterMistakes } from './clusters.ts';
import { OrganizationCustomizations } from './customizations.ts';
import { Gate, UserToQueue, unknownQueues } from './queues.ts';

const Milliseconds = z.number().int().positive();
const PullSpecText = z.string().min(1);

/** Principals, or groups of tokens as `group:NAME`; `*` is every caller who got in. */
const Members = z.array(z.string().min(1));

/** Bearer tokens of an OpenID Connect provider. */
const Oidc = z.strictObject({
  /** Must be the `iss` of tokens, letter by letter. */
  issuer: z.url(),
  /** Must be among the `aud` of tokens. */
  audience: z.string().min(1),
  /** Where the issuer's keys are; asked of the issuer's `/.well-known/openid-configuration` when absent. */
  jwksUrl: z.url().optional(),
  /** Claim that is the principal. */
  userClaim: z.string().default('sub'),
  /** Claim that lists the groups. */
  groupsClaim: z.string().default('groups'),
});

/** Who may do what; a role that is not configured is held by whoever had it in IIB. */
const Roles = z.strictObject({
  /** May send requests; everybody who is known when absent. */
  submit: Members.optional(),
  /** May overwrite indexes; whoever may submit when absent. */
  overwrite: Members.optional(),
  /** May PATCH; `workerUsers` when absent. */
  worker: Members.optional(),
  /** May do all of these. */
  admin: Members.default([]),
});

/** The service's own HTTP side. Names in brackets are IIB's (rest-api.md §10). */
const Api = z.strictObject({
  host: z.string().default('127.0.0.1'),
  port: z.number().int().min(0).max(65535).default(8080),
  /** Base URL in answers; made from the Host header of the request when absent. */
  publicUrl: z.url().optional(),
  /** Header in which a trusted proxy hands over the authenticated user. */
  userHeader: z.string().default('X-Remote-User'),
  /** Peer addresses whose user header is believed; from all others it is dropped. */
  trustedProxies: z.array(z.string()).default(['127.0.0.1', '::1']),
  /** Anonymous callers may POST and PATCH [LOGIN_DISABLED]. */
  loginDisabled: z.boolean().default(false),
  /** Principals allowed to PATCH [IIB_WORKER_USERNAMES]. */
  workerUsers: z.array(z.string()).default([]),
  /** Bearer tokens of this provider are accepted; none when absent. */
  oidc: Oidc.optional(),
  roles: Roles.prefault({}),
  /** Hours for which the answer to a POST with an `Idempotency-Key` is kept. */
  idempotencyHours: z.number().positive().default(24),
  maxPerPage: z.number().int().positive().default(20),
  graphModeOptions: z.array(z.string()).default(['replaces', 'semver', 'semver-skippatch']),
  graphModeIndexAllowList: z.array(z.string()).default([]),
  /** Bytes; larger bodies get 413. */
  bodyLimit: z
    .number()
    .int()
    .positive()
    .default(4 * 1024 * 1024),
});

const Storage = z.strictObject({
  /** Request logs, `{id}.log` [IIB_REQUEST_LOGS_DIR]; also enables the logs route. */
  logsDir: z.string().optional(),
  relatedBundlesDir: z.string().optional(),
  nestedBundlesDir: z.string().optional(),
  /** Days after the newest state until artifacts count as expired [IIB_REQUEST_DATA_DAYS_TO_LIVE]. */
  daysToLive: z.number().int().min(0).default(3),
});

/** A registry, or a path in one. */
const RegistryPrefix = z.string().regex(/^[^\s/@]+(\/[^\s/@:]+)*$/, 'must be a registry or registry/path, without tag');

const Registry = z.strictObject({
  /** Registry of output pull specs [iib_registry]. */
  output: z.string(),
  /** [iib_image_push_template] */
  pushTemplate: z.string().default('{registry}/iib-build:{request_id}'),
  /** Replaces `output` in reported pull specs [iib_index_image_output_registry]. */
  publicOutput: z.string().optional(),
  /** Docker config with the service's own credentials; re-read at each use. */
  authFile: z.string().optional(),
  /** Registries (host:port) spoken to over plain HTTP. */
  insecure: z.array(z.string()).default([]),
  /** What clients may name images of: registries, or `registry/path` with all below it; everything when absent. */
  allowed: z.array(RegistryPrefix).optional(),
  /** Hosts that may be at any address, also where a registry names them: `host`, `host:port` or `*.domain`; configured registries may be anyway. */
  privateHosts: z.array(z.string().regex(/^[^\s/@]+$/)).default([]),
  /** Bytes per second that a registry must move, on average over `deadlines.call`. */
  minimumRate: z.number().int().positive().default(1024),
  /** [iib_index_db_artifact_registry], [iib_index_db_artifact_template], [iib_index_db_artifact_tag_template] */
  artifactRegistry: z.string(),
  artifactTemplate: z.string().default('{registry}/index-db:{tag}'),
  artifactTagTemplate: z.string().default('{image_name}-{tag}'),
  emptyTag: z.string().default('empty'),
});

const Cluster = z.strictObject({
  /** API server URL [iib_konflux_cluster_url]. */
  url: z.url(),
  namespace: z.string(),
  /** File with the bearer token; read again at each use so that a renewed token is taken up. */
  tokenFile: z.string(),
  caFile: z.string(),
});

/** A cluster beside the one under `cluster`; repositories name it. */
const NamedCluster = Cluster.extend({ name: z.string().min(1) });

/** A broker without credentials in its address: those have files of their own. */
const BrokerUrl = z
  .url({ protocol: /^amqps?$/ })
  .refine((url) => new URL(url).username === '' && new URL(url).password === '', 'must not hold credentials');

/** Messages about states by AMQP 1.0 (rest-api.md §9); names in brackets are IIB's. */
const Messaging = z.strictObject({
  /** Brokers, tried in this order; port 5672, and 5671 for `amqps` [IIB_MESSAGING_URLS]. */
  urls: z.array(BrokerUrl).default([]),
  /** Address for states of requests; none are sent when absent [IIB_MESSAGING_BUILD_STATE_DESTINATION]. */
  buildDestination: z.string().min(1).optional(),
  /** Address for states of batches; none are sent when absent [IIB_MESSAGING_BATCH_STATE_DESTINATION]. */
  batchDestination: z.string().min(1).optional(),
  /** PEM files: who signed the broker's certificate, our own certificate and its key. */
  caFile: z.string().optional(),
  certFile: z.string().optional(),
  keyFile: z.string().optional(),
  /** For brokers that ask for a password (SASL PLAIN). */
  user: z.string().optional(),
  passwordFile: z.string().optional(),
  /** The header `durable` of messages [IIB_MESSAGING_DURABLE]. */
  durable: z.boolean().default(true),
  /** Milliseconds to connect, and for each message to be accepted [IIB_MESSAGING_TIMEOUT]. */
  timeout: Milliseconds.default(30_000),
});

/** How a change is put before the pipeline: as a merge request, or as a commit on the branch itself. */
export const ProposalKind = z.enum(['merge-request', 'direct-commit']);
export type ProposalKind = z.infer<typeof ProposalKind>;

/** A project in GitLab whose pipeline builds what is proposed to it. */
const Repository = z.strictObject({
  /** GitLab project URL, with or without `.git`. */
  repository: z.url(),
  /** File holding the GitLab token (api and write_repository scopes). */
  tokenFile: z.string(),
  /** Template name of the PipelineRun that builds it; the newest run of any template when absent. */
  pipeline: z.string().optional(),
  proposal: ProposalKind.default('merge-request'),
  /** Name of the cluster its pipelines run in; the one under `cluster` when absent. */
  cluster: z.string().optional(),
  /** Namespace they run in; the cluster's when absent. */
  namespace: z.string().min(1).optional(),
});

/** One catalog repository [IIB_INDEX_TO_GITLAB_PUSH_MAP, iib_index_configs_gitlab_tokens_map]. */
const Catalog = Repository.extend({
  /** `registry/namespace/repo` of the index, without tag or digest. */
  index: z.string(),
});

export const Config = z.strictObject({
  databaseUrl: z.string(),
  /** File with 32 random bytes in base64: key for tokens that wait in the database with their request. */
  secretKeyFile: z.string(),
  /** Directory for mirrors, caches and workspaces. */
  stateDir: z.string(),
  logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  /** Prefix in branch names [iib_environment_name]. */
  environment: z
    .string()
    .regex(/^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/)
    .optional(),
  api: Api.prefault({}),
  storage: Storage.prefault({}),
  registry: Registry,
  catalogs: z.array(Catalog).default([]),
  /**
   * Directory with more catalogs, one YAML file each, read again when something in it changes:
   * a new index needs no restart.
   */
  catalogsDir: z.string().optional(),
  /** Where bundles are regenerated [IIB_REGENERATE_BUNDLE_REPO_KEY]; without it such requests fail. */
  bundleRepository: Repository.extend({ branch: z.string().default('regenerate-bundle') }).optional(),
  /** What is changed in regenerated bundles, by organization [iib_organization_customizations]. */
  organizationCustomizations: OrganizationCustomizations.default({}),
  /** A bundle may lead to fewer related bundles than this [iib_max_recursive_related_bundles]. */
  maxRecursiveRelatedBundles: z.number().int().positive().default(15),
  cluster: Cluster,
  /** More clusters, for repositories whose pipelines run elsewhere. */
  clusters: z.array(NamedCluster).default([]),
  /** scope → OCP version → pull spec [IIB_BINARY_IMAGE_CONFIG]. */
  binaryImages: z.partialRecord(z.enum(['prod', 'stage', 'dev']), z.record(z.string(), PullSpecText)).default({}),
  /** [IIB_BINARY_IMAGE_LESS_ARCHES_ALLOWED_VERSIONS]: pull specs in spite of its name (request-handling.md §4). */
  fewerArchesAllowed: z.array(z.string()).default([]),
  opm: z.strictObject({
    /** Directory of executables named `opm-vX.Y.Z`; the PATH when absent. */
    dir: z.string().optional(),
    /** OCP version → executable [iib_ocp_opm_mapping]. */
    versions: z.record(z.string(), z.string()),
    /** [iib_default_opm] */
    default: z.string(),
    /** MiB of address space an opm process may use. */
    memory: z.number().int().positive().default(16384),
    timeout: Milliseconds.default(30 * 60_000),
  }),
  /** Users and prefixes of indexes whose merges may ignore a missing OCP version label [iib_no_ocp_label_allow_list]. */
  noOcpLabelAllowed: z.array(z.string().min(1)).default([]),
  /** Queues by user; here they only tell which requests are gated [IIB_USER_TO_QUEUE]. */
  userToQueue: UserToQueue.default({}),
  /** Base URL of Greenwave's API; needed when there are gates [iib_greenwave_url]. */
  greenwaveUrl: z.url().optional(),
  /** Queues whose bundles Greenwave decides about [IIB_GREENWAVE_CONFIG]. */
  gates: z.array(Gate).default([]),
  /** [iib_required_labels] */
  requiredLabels: z.record(z.string(), z.string()).default({}),
  /** user → {old registry: new registry} [iib_related_image_registry_replacement] */
  relatedImageRegistries: z.record(z.string(), z.record(z.string(), z.string())).default({}),
  messaging: Messaging.prefault({}),
  /** At most so many bundles in one opm call [iib_deprecate_bundles_limit]. */
  deprecateLimit: z.number().int().positive().default(200),
  worker: z
    .strictObject({
      /** Jobs one worker process runs side by side. */
      concurrency: z.number().int().positive().default(20),
      /** Written every five seconds, for probes. */
      heartbeatFile: z.string().optional(),
    })
    .prefault({}),
  lanes: z
    .strictObject({
      /**
       * Milliseconds for which later requests of a lane wait for one whose index cannot be read yet. After it that one
       * loses its place.
       */
      resolveWait: Milliseconds.default(60_000),
    })
    .prefault({}),
  /** Milliseconds. */
  deadlines: z
    .strictObject({
      /** Transient failures are tried again so long; the request fails after it. */
      patience: Milliseconds.default(10 * 60_000),
      /** After the commit point: so long a transient failure is tried again before the merge is reverted. */
      forward: Milliseconds.default(24 * 3600_000),
      /** From the push to GitLab's API knowing the branch: it processes pushes in the background. */
      branchAppears: Milliseconds.default(5 * 60_000),
      /** From the push to a PipelineRun of that commit. */
      runAppears: Milliseconds.default(5 * 60_000),
      /** From its creation to its start (queues). */
      runStarts: Milliseconds.default(4 * 3600_000),
      /** From its start to its end [iib_konflux_pipeline_timeout]. */
      runEnds: Milliseconds.default(1800_000),
      /** From the first try to a merged merge request. */
      merge: Milliseconds.default(10 * 60_000),
      /** One HTTP call to a registry, GitLab or the cluster. */
      call: Milliseconds.default(60_000),
      /** One blob from or to a registry. */
      transfer: Milliseconds.default(30 * 60_000),
      /** The slow poll beside the watch. */
      poll: Milliseconds.default(60_000),
    })
    .prefault({}),
});

/** What cannot be said of one key alone (rest-api.md §10, start-up). */
export const CheckedConfig = Config.superRefine((config, context) => {
  for (const queue of unknownQueues(config.userToQueue, config.gates)) {
    context.addIssue({ code: 'custom', path: ['gates'], message: `the queue ${queue} is no value of userToQueue` });
  }
  for (const [path, message] of clusterMistakes(config)) context.addIssue({ code: 'custom', path, message });
});
export type Config = z.infer<typeof Config>;
export type RepositoryConfig = z.infer<typeof Repository>;
export type CatalogConfig = z.infer<typeof Catalog>;
export type RegistryConfig = z.infer<typeof Registry>;
/** With a name unless it is the one under `cluster`. */
export type ClusterConfig = z.infer<typeof Cluster> & { name?: string };
export type MessagingConfig = z.infer<typeof Messaging>;
export { Catalog as CatalogConfigSchema };

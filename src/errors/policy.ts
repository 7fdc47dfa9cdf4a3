/**
 * Every way a piece of work can fail, and what happens next. This is the one place that decides it.
 *
 * - `transient`: the world may be well again soon; tried again with backoff, within the patience of the configuration.
 * - `conflict`: somebody else changed what we built on; undone and built again on the new state, a bounded number of times.
 * - `user`: the request cannot succeed as it was asked; it fails with the sentence of the failure.
 * - `internal`: ours to mend; the request fails, the cause goes to the log.
 */
export const policy = {
  // the request
  request_invalid: 'user',
  index_not_mapped: 'user',
  index_tag_missing: 'user',
  index_version_invalid: 'user',
  binary_image_unavailable: 'user',
  arches_unavailable: 'user',
  distribution_scope_refused: 'user',
  build_tag_refused: 'user',
  bundle_unsupported: 'user',
  bundle_label_missing: 'user',
  related_images_missing: 'user',
  package_name_unsafe: 'user',
  package_only_in_catalog: 'user',
  package_not_in_database: 'user',
  from_index_changed: 'user',
  request_cancelled: 'user',
  request_finished: 'user',
  request_forbidden: 'user',
  request_unreadable: 'user',

  gating_refused: 'user',
  gating_unavailable: 'transient',

  // registry
  image_not_found: 'user',
  image_unreadable: 'user',
  image_directory_missing: 'user',
  pull_spec_invalid: 'user',
  registry_denied: 'user',
  registry_refused: 'user',
  registry_unavailable: 'transient',
  registry_slow: 'transient',
  registry_answer_invalid: 'user',
  registry_tls_failed: 'user',
  registry_address_refused: 'user',
  registry_not_allowed: 'user',
  copy_failed: 'transient',

  // opm and catalog
  opm_refused: 'user',
  opm_missing: 'internal',
  opm_crashed: 'internal',
  catalog_invalid: 'user',
  catalog_directory_missing: 'user',
  index_db_invalid: 'user',

  // GitLab and git
  gitlab_denied: 'user',
  gitlab_unavailable: 'transient',
  gitlab_refused: 'user',
  branch_missing: 'user',
  branch_not_visible: 'user',
  push_refused: 'user',
  merge_not_ready: 'user',
  merge_refused: 'user',
  merge_request_closed: 'user',
  target_moved: 'conflict',

  // pipelines
  kubernetes_denied: 'user',
  kubernetes_unavailable: 'transient',
  pipeline_not_started: 'user',
  pipeline_failed: 'user',
  pipeline_timeout: 'user',
  pipeline_result_missing: 'user',
  pipeline_gone: 'user',

  // messages: announced until the broker takes them
  broker_unavailable: 'transient',
  broker_denied: 'transient',
  broker_refused: 'transient',
  announcing_failed: 'transient',

  // ourselves
  identity_provider_unavailable: 'transient',
  idempotency_conflict: 'user',
  configuration_invalid: 'internal',
  database_unavailable: 'transient',
  lease_lost: 'internal',
  local_shortage: 'transient',
  process_failed: 'internal',
  process_timeout: 'transient',
  answer_unreadable: 'internal',
  unexpected: 'internal',
} as const satisfies Record<string, Verdict>;

export type Verdict = 'transient' | 'conflict' | 'user' | 'internal';
export type ErrorCode = keyof typeof policy;

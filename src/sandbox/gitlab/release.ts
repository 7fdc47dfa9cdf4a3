/** Whose answers the imitation gives: they differ by version in order, status and text. */
export type Release = 'older' | 'newest';

/** What `GET /version` says of each. */
export const VERSIONS: Record<Release, string> = { older: '17.11.7', newest: '19.0.0' };

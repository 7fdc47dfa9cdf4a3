import { Failure } from '../errors/failure.ts';

/** What a catalog repository's URL says: one GitLab project. */
export interface RepositoryUrl {
  /** As configured; this is what users read in messages. */
  text: string;
  /** `https://host[:port]`, without a slash at the end. */
  host: string;
  /** `group/sub/name` */
  project: string;
  /** With `.git`: GitLab redirects without it, and git would take the credentials along. */
  git: string;
}

/**
 * Reads the URL of a GitLab project, with or without `.git` (request-handling.md §5). Plain HTTP is taken too: the
 * sandbox speaks it on loopback.
 *
 * @throws Failure `configuration_invalid` with IIB's texts; a URL with credentials in it is refused and not repeated
 */
export function parseRepositoryUrl(text: string): RepositoryUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url && (url.username || url.password)) {
    throw new Failure(
      'configuration_invalid',
      `Unsupported repository URL format: the URL of ${url.host}${url.pathname} must not hold credentials`,
    );
  }
  if (!/^https?:\/\//i.test(text)) {
    throw new Failure('configuration_invalid', `Unsupported repository URL format: ${text}`);
  }
  const project = url?.pathname.replace(/^\/+|\/+$/g, '').replace(/\.git$/, '') ?? '';
  const segments = project.split('/');
  if (!url?.hostname || segments.length < 2 || segments.includes('') || url.search || url.hash) {
    throw new Failure('configuration_invalid', `Invalid GitLab repository URL format: ${text}`);
  }
  return { text, host: url.origin, project: decodeURIComponent(project), git: `${url.origin}/${project}.git` };
}

import * as onboarding from '../onboarding/rest.ts';

export type { Rest } from '../onboarding/rest.ts';
export const { Anything } = onboarding;

/**
 * A client of one API, as the sandbox's administrator.
 *
 * @param headers sent with each call; they hold the credentials
 * @param options.ca PEM of the authority that signed the server's certificate
 * @throws Failure `process_failed` for any answer above 299, with its text, and for none
 */
export function restClient(
  base: string,
  headers: Record<string, string>,
  options: { ca?: string } = {},
): onboarding.Rest {
  const codes = { refused: 'process_failed', unavailable: 'process_failed' } as const;
  return onboarding.restClient(base, { headers, ...options, codes });
}

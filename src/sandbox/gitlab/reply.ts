/** What a handler gives back; bodies that are neither text nor bytes are sent as JSON. */
export interface Reply {
  status: number;
  headers?: Record<string, string>;
  body?: unknown;
  /** Set when `body` is raw bytes or text that must not be turned into JSON. */
  raw?: string | Buffer;
}

export const ok = (body: unknown, headers: Record<string, string> = {}): Reply => ({ status: 200, body, headers });
export const created = (body: unknown): Reply => ({ status: 201, body });
export const noContent = (): Reply => ({ status: 204 });

/** An answer that ends the handling of a call; its shapes are those of konflux-and-gitlab.md §4.4. */
export class Refused extends Error {
  readonly reply: Reply;

  constructor(reply: Reply) {
    super(`answered ${reply.status}`);
    this.reply = reply;
  }
}

/** `{"message": …}`: what the models and permissions of GitLab say. */
export function refuse(status: number, message: unknown, headers: Record<string, string> = {}): Refused {
  return new Refused({ status, body: { message }, headers });
}

/** `{"error": …}`: what the parameter checks of GitLab say. */
export function refuseInput(status: number, error: unknown, more: Record<string, unknown> = {}): Refused {
  return new Refused({ status, body: { error, ...more } });
}

export const unauthorized = () => refuse(401, '401 Unauthorized');
export const forbidden = (reason?: string) =>
  refuse(403, reason === undefined ? '403 Forbidden' : `403 Forbidden - ${reason}`);
export const notFound = (what?: string) => refuse(404, what === undefined ? '404 Not found' : `404 ${what} Not Found`);
export const badRequest = (reason: string) => refuse(400, `400 Bad request - ${reason}`);

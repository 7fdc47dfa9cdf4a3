import { createHash } from 'node:crypto';
import type { Context, Handler } from 'hono';
import { stringify } from 'yaml';
import { bytes } from './answers.ts';
import { openApi } from './openapi.ts';
import { documentationPage } from './page.ts';

/** The documentation: the page at `/`, the same page and the OpenAPI file below `/static` (rest-api.md §1). */
export function documentationFiles(): [path: string, handler: Handler][] {
  const description = openApi();
  const page = documentationPage(description);
  const html = 'text/html; charset=utf-8';
  return [
    ['/', () => bytes(new TextEncoder().encode(page), html)],
    ['/static/docs.html', file(page, html)],
    ['/static/api_v1.yaml', file(stringify(description), 'application/octet-stream')],
  ];
}

/** A file with conditional requests honoured; it is as old as the process. */
function file(text: string, contentType: string): Handler {
  const content = new TextEncoder().encode(text);
  const etag = `"${createHash('sha256').update(content).digest('hex').slice(0, 32)}"`;
  const modified = new Date(Math.floor(Date.now() / 1000) * 1000);
  const headers = { etag, 'last-modified': modified.toUTCString(), 'cache-control': 'no-cache' };
  return (c) =>
    isUnchanged(c, etag, modified)
      ? new Response(null, { status: 304, headers })
      : bytes(content, contentType, { headers });
}

/** RFC 9110 §13.2.2: the tag decides when one is sent, else the date. */
function isUnchanged(c: Context, etag: string, modified: Date): boolean {
  const tags = c.req.header('if-none-match');
  if (tags !== undefined) {
    return tags.split(',').some((tag) => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag);
  }
  const since = Date.parse(c.req.header('if-modified-since') ?? '');
  return since >= modified.getTime();
}

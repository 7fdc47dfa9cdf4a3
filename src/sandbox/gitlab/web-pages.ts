import { mayRead } from './access.ts';
import { decode, findProject } from './call.ts';
import type { Reply } from './reply.ts';
import type { World } from './world.ts';

const html = (status: number, title: string, body = ''): Reply => ({
  status,
  raw: `<!DOCTYPE html>\n<html><head><title>${asText(title)}</title></head><body><h1>${asText(title)}</h1>${body}</body></html>\n`,
  headers: { 'Content-Type': 'text/html; charset=utf-8' },
});

const asText = (text: string) =>
  text.replace(/[&<>"]/g, (letter) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[letter] ?? letter);

/** Health pages, and a plain page for what `web_url` points to. Like GitLab's, it shows nothing private. */
export function webPage(world: World, pathname: string): Reply {
  if (/^\/-\/(health|liveness|readiness)$/.test(pathname)) {
    return pathname === '/-/health'
      ? { status: 200, raw: 'GitLab OK', headers: { 'Content-Type': 'text/plain' } }
      : { status: 200, body: { status: 'ok' } };
  }
  const [path = '', place = ''] = pathname.split('/-/');
  const project = findProject(
    world,
    path
      .split('/')
      .map(decode)
      .join('/')
      .replace(/^\//, '')
      .replace(/\.git$/, ''),
  );
  if (project === undefined || !mayRead(world, undefined, project)) {
    return project === undefined && pathname !== '/' ? html(404, 'Page Not Found') : html(200, 'Sign in · GitLab');
  }
  const iid = Number(place.match(/^merge_requests\/(\d+)/)?.[1]);
  const request = world.store.mergeRequests.find((each) => each.project_id === project.id && each.iid === iid);
  if (request === undefined) return html(200, project.path_with_namespace);
  const details = `<p>${request.state}</p><pre>${asText(request.description ?? '')}</pre>`;
  return html(200, `${request.title} (!${request.iid}) · ${project.path_with_namespace}`, details);
}

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

export const TOKEN = 'glpat-catalog-secret';

/** What the server does out of the ordinary; tests change it while it runs. */
export interface Weather {
  /** Answer every request with this status. */
  status?: number;
  /** Answer pushes with this status. */
  pushStatus?: number;
  /** Do the push, then drop the connection before answering. */
  cutAfterPush?: boolean;
  /** Runs when a push has begun to look at the branches. */
  beforePush?: () => void;
  /** Accept connections and never answer. */
  silent?: boolean;
}

export interface GitServer {
  url: string;
  /** The bare repository behind it. */
  repository: string;
  weather: Weather;
  /** Every request line, in order. */
  requests: string[];
  git(...args: string[]): string;
  /** Commits files and symlinks (null deletes) to a branch on the server and gives the new tip. */
  commit(branch: string, files: Record<string, string | { symlink: string } | null>): string;
  close(): Promise<void>;
}

const environment = {
  ...process.env,
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_AUTHOR_NAME: 'Upstream',
  GIT_AUTHOR_EMAIL: 'upstream@example.com',
  GIT_COMMITTER_NAME: 'Upstream',
  GIT_COMMITTER_EMAIL: 'upstream@example.com',
};

/** Real git over smart HTTP on loopback, with the token as password, at `/group/sub/catalog.git`. */
export async function startGitServer(): Promise<GitServer> {
  const root = mkdtempSync(join(tmpdir(), 'forge-server-'));
  const repository = join(root, 'group/sub/catalog.git');
  mkdirSync(repository, { recursive: true });
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: repository, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
      .toString()
      .trim();
  git('init', '-q', '--bare', '.');
  for (const [key, value] of Object.entries({
    'http.receivepack': 'true',
    'uploadpack.allowFilter': 'true',
    'uploadpack.allowAnySHA1InWant': 'true',
    'gc.auto': '0',
    'receive.autogc': 'false',
  }))
    git('config', key, value);
  const weather: Weather = {};
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    if (weather.silent) return;
    if (weather.status) return void response.writeHead(weather.status).end('<html><title>Sorry</title></html>');
    if (weather.pushStatus && request.method === 'POST' && request.url?.endsWith('git-receive-pack')) {
      request.resume();
      return void response.writeHead(weather.pushStatus).end();
    }
    const expected = `Basic ${Buffer.from(`oauth2:${TOKEN}`).toString('base64')}`;
    if (request.headers.authorization !== expected) {
      return void response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end('HTTP Basic: Access denied');
    }
    if (request.url?.endsWith('info/refs?service=git-receive-pack')) weather.beforePush?.();
    serve(root, request, response, weather);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;

  return {
    url: `http://127.0.0.1:${port}/group/sub/catalog`,
    repository,
    weather,
    requests,
    git,
    commit(branch, files) {
      const work = mkdtempSync(join(root, 'work-'));
      const at = (...args: string[]) =>
        execFileSync('git', args, { cwd: work, env: environment, stdio: ['ignore', 'pipe', 'pipe'] })
          .toString()
          .trim();
      at('init', '-q', '-b', branch, '.');
      // What files say about themselves is for the client to deal with, not for this one.
      mkdirSync(join(work, '.git/info'), { recursive: true });
      writeFileSync(join(work, '.git/info/attributes'), '* -text -ident -filter -working-tree-encoding\n');
      try {
        at('pull', '-q', repository, branch);
      } catch {
        // the branch does not exist yet
      }
      for (const [path, content] of Object.entries(files)) {
        if (content === null) rmSync(join(work, path), { recursive: true });
        else {
          mkdirSync(dirname(join(work, path)), { recursive: true });
          if (typeof content === 'string') writeFileSync(join(work, path), content);
          else symlinkSync(content.symlink, join(work, path));
        }
      }
      at('add', '-A', '-f', '.');
      at('commit', '-q', '-m', `upstream on ${branch}`);
      at('push', '-q', repository, `HEAD:refs/heads/${branch}`);
      const tip = at('rev-parse', 'HEAD');
      rmSync(work, { recursive: true });
      return tip;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** One CGI call to `git http-backend`. */
function serve(root: string, request: IncomingMessage, response: ServerResponse, weather: Weather): void {
  const url = new URL(request.url ?? '/', 'http://server');
  const env: Record<string, string> = {
    ...(environment as Record<string, string>),
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: '1',
    REMOTE_USER: 'bot',
    PATH_INFO: url.pathname,
    QUERY_STRING: url.search.slice(1),
    REQUEST_METHOD: request.method ?? 'GET',
    CONTENT_TYPE: request.headers['content-type'] ?? '',
  };
  const protocol = request.headers['git-protocol'];
  if (typeof protocol === 'string') env.GIT_PROTOCOL = protocol;
  const encoding = request.headers['content-encoding'];
  if (encoding) env.HTTP_CONTENT_ENCODING = encoding;
  if (request.headers['content-length']) env.CONTENT_LENGTH = request.headers['content-length'];
  const child = spawn('git', ['http-backend'], { env, stdio: ['pipe', 'pipe', 'ignore'] });
  request.pipe(child.stdin);
  child.stdin.on('error', () => {});
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.on('close', () => {
    if (weather.cutAfterPush && request.method === 'POST' && url.pathname.endsWith('git-receive-pack')) {
      request.socket.destroy();
      return;
    }
    const whole = Buffer.concat(chunks);
    const end = whole.indexOf('\r\n\r\n');
    for (const line of whole.subarray(0, end).toString().split('\r\n')) {
      const at = line.indexOf(': ');
      const [name, value] = [line.slice(0, at), line.slice(at + 2)];
      if (name === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(name, value);
    }
    response.end(whole.subarray(end + 4));
  });
}

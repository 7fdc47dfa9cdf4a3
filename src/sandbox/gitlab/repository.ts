import { createHash } from 'node:crypto';
import { z } from 'zod';
import { type Call, projectOf, type Route, route, take } from './call.ts';
import { commitOf, git, gitText, mergeBase } from './git.ts';
import { readCommit, readCommits, readDiffs } from './history.ts';
import { page } from './paging.ts';
import { flag, list, text } from './params.ts';
import type { Project } from './records.ts';
import { notFound, ok, type Reply, refuse, refuseInput } from './reply.ts';
import { commitView, webUrl } from './views.ts';
import { repositoryOf } from './world.ts';

export interface TreeEntry {
  id: string;
  name: string;
  type: 'tree' | 'blob' | 'commit';
  path: string;
  mode: string;
}

/** Entries below a path, folders first as GitLab lists them when not recursive; undefined when the path is no folder. */
async function readTree(
  repository: string,
  commit: string,
  path: string,
  deep: 'deep' | 'flat',
): Promise<TreeEntry[] | undefined> {
  const folder = path.replace(/^\/+|\/+$/g, '');
  const { code, stdout } = await git(repository, [
    'ls-tree',
    '-z',
    ...(deep === 'deep' ? ['-r', '-t'] : []),
    `${commit}:${folder}`,
  ]);
  if (code !== 0) return undefined;
  const entries = stdout
    .toString()
    .split('\0')
    .filter(Boolean)
    .map((line): TreeEntry => {
      const [meta = '', name = ''] = line.split('\t');
      const [mode = '', type = '', id = ''] = meta.split(' ');
      const full = folder === '' ? name : `${folder}/${name}`;
      return { id, name: full.split('/').at(-1) ?? '', type: type as TreeEntry['type'], path: full, mode };
    });
  if (deep === 'deep') return entries;
  return [...entries.filter((entry) => entry.type === 'tree'), ...entries.filter((entry) => entry.type !== 'tree')];
}

async function tree(call: Call): Promise<Reply> {
  const project = projectOf(call);
  const wanted = take(
    call,
    z.object({
      path: text.default(''),
      ref: text.optional(),
      ref_name: text.optional(),
      recursive: flag.default(false),
    }),
  );
  const repository = repositoryOf(call.world, project);
  const commit = await commitOf(repository, wanted.ref ?? wanted.ref_name ?? project.default_branch ?? '');
  if (commit === undefined) throw notFound('Tree');
  const entries = await readTree(repository, commit, wanted.path, wanted.recursive ? 'deep' : 'flat');
  if (entries === undefined) throw refuse(404, '404 invalid revision or path Not Found');
  return page(
    call,
    entries,
    (entry) => entry,
    (entry) => createHash('sha1').update(entry.path).digest('hex'),
  );
}

interface FileAt {
  path: string;
  blob: string;
  content: Buffer;
  commit: string;
  lastCommit: string;
  mode: string;
}

async function fileOf(call: Call, project: Project): Promise<{ file: FileAt; ref: string }> {
  const { ref: given } = take(call, z.object({ ref: text.optional() }));
  const ref = given === undefined || given === 'HEAD' ? (project.default_branch ?? '') : given;
  const repository = repositoryOf(call.world, project);
  const commit = await commitOf(repository, ref);
  if (commit === undefined) throw notFound('Commit');
  const path = (call.path.file_path ?? '').replace(/^\/+/, '');
  const line = await gitText(repository, ['ls-tree', '-z', commit, '--', path]);
  const [meta = '', name] = line.replace(/\0.*$/s, '').split('\t');
  const [mode = '', type, blob = ''] = meta.split(' ');
  if (type !== 'blob' || name !== path) throw notFound('File');
  const { stdout: content } = await git(repository, ['cat-file', 'blob', blob]);
  const lastCommit = await gitText(repository, ['rev-list', '-1', commit, '--', path]);
  return { file: { path, blob, content, commit, lastCommit, mode }, ref };
}

const fileFacts = (file: FileAt, ref: string) => ({
  file_name: file.path.split('/').at(-1) ?? '',
  file_path: file.path,
  size: file.content.length,
  encoding: 'base64',
  content_sha256: createHash('sha256').update(file.content).digest('hex'),
  ref,
  blob_id: file.blob,
  commit_id: file.commit,
  last_commit_id: file.lastCommit,
  execute_filemode: file.mode === '100755',
});

/** `X-Gitlab-*`: the facts as headers, for HEAD and along with the others. */
const fileHeaders = (file: FileAt, ref: string) =>
  Object.fromEntries(
    Object.entries(fileFacts(file, ref)).map(([key, value]) => [
      `X-Gitlab-${key
        .split('_')
        .map((part) => part.charAt(0).toUpperCase() + part.slice(1))
        .join('-')}`,
      // Header values cannot hold what paths can.
      typeof value === 'string' ? encodeURI(value) : String(value),
    ]),
  );

const ARCHIVES: Record<string, string> = {
  'archive.tar.gz': 'tar.gz',
  archive: 'tar.gz',
  'archive.tgz': 'tar.gz',
  'archive.tar': 'tar',
  'archive.zip': 'zip',
};

async function archive(call: Call): Promise<Reply> {
  const project = projectOf(call);
  const wanted = take(call, z.object({ sha: text.optional(), path: text.optional() }));
  const repository = repositoryOf(call.world, project);
  const ref = wanted.sha ?? project.default_branch ?? '';
  const commit = await commitOf(repository, ref);
  if (commit === undefined) throw notFound('File');
  const format = ARCHIVES[call.path.archive ?? ''] ?? 'tar.gz';
  const inside = wanted.path === undefined ? '' : `-${wanted.path.replaceAll('/', '-')}`;
  const name = `${project.path}-${ref.replaceAll('/', '-')}-${commit}${inside}`;
  const { code, stdout } = await git(repository, [
    'archive',
    `--format=${format}`,
    `--prefix=${name}/`,
    commit,
    ...(wanted.path === undefined ? [] : ['--', wanted.path]),
  ]);
  if (code !== 0) throw notFound('File');
  return {
    status: 200,
    raw: stdout,
    headers: {
      'Content-Type': 'application/octet-stream',
      'Content-Disposition': `attachment; filename="${name}.${format}"`,
    },
  };
}

async function compare(call: Call): Promise<Reply> {
  const project = projectOf(call);
  const { from, to, straight } = take(call, z.object({ from: text, to: text, straight: flag.default(false) }));
  const repository = repositoryOf(call.world, project);
  const older = await commitOf(repository, from);
  const newer = await commitOf(repository, to);
  if (older === undefined || newer === undefined) throw notFound('Ref');
  const base = straight ? older : await mergeBase(repository, older, newer);
  const commits = await readCommits(repository, ['--reverse', '--topo-order', `${older}..${newer}`, '--']);
  const views = commits.map((commit) => commitView(call.world, project, commit));
  return ok({
    commit: views.at(-1) ?? null,
    commits: views,
    diffs: await readDiffs(repository, base ?? older, newer),
    compare_timeout: false,
    compare_same_ref: older === newer,
    web_url: `${webUrl(call.world, project)}/-/compare/${older}...${newer}`,
  });
}

async function commonAncestor(call: Call): Promise<Reply> {
  const project = projectOf(call);
  const { refs } = take(call, z.object({ refs: list }));
  if (refs.length < 2) throw refuseInput(400, 'Provide at least 2 refs');
  const repository = repositoryOf(call.world, project);
  const commits: string[] = [];
  for (const ref of refs) {
    const commit = await commitOf(repository, ref);
    if (commit === undefined) throw refuse(400, `Could not find ref: ${ref}`);
    commits.push(commit);
  }
  const { stdout } = await git(repository, ['merge-base', '--octopus', ...commits]);
  const base = stdout.toString().trim();
  if (base === '') throw notFound('Merge Base');
  return ok(commitView(call.world, project, await readCommit(repository, base)));
}

/** Reading trees and files (konflux-and-gitlab.md §4.3). */
export const repositoryRoutes: Route[] = [
  route('GET', '/projects/:id/repository/tree', tree),

  route('GET', '/projects/:id/repository/files/:file_path', async (call) => {
    const { ref: required } = take(call, z.object({ ref: text }));
    const { file, ref } = await fileOf(call, projectOf(call));
    const body = { ...fileFacts(file, required), content: file.content.toString('base64') };
    return ok(body, fileHeaders(file, ref));
  }),

  route('GET', '/projects/:id/repository/files/:file_path/raw', async (call) => {
    const { file, ref } = await fileOf(call, projectOf(call));
    return {
      status: 200,
      raw: file.content,
      headers: {
        ...fileHeaders(file, ref),
        'Content-Type': file.content.includes(0) ? 'application/octet-stream' : 'text/plain; charset=utf-8',
        'Content-Disposition': `inline; filename="${encodeURIComponent(file.path.split('/').at(-1) ?? '')}"`,
      },
    };
  }),

  route('GET', '/projects/:id/repository/blobs/:blob/raw', async (call) => {
    const repository = repositoryOf(call.world, projectOf(call));
    const blob = call.path.blob ?? '';
    const { code, stdout } = /^[0-9a-f]{7,40}$/.test(blob)
      ? await git(repository, ['cat-file', 'blob', blob])
      : { code: 1, stdout: Buffer.alloc(0) };
    if (code !== 0) throw notFound('Blob');
    return { status: 200, raw: stdout, headers: { 'Content-Type': 'application/octet-stream' } };
  }),

  route('GET', '/projects/:id/repository/compare', compare),
  route('GET', '/projects/:id/repository/merge_base', commonAncestor),
  ...Object.keys(ARCHIVES).map((name) =>
    route('GET', `/projects/:id/repository/${name}`, (call) =>
      archive({ ...call, path: { ...call.path, archive: name } }),
    ),
  ),
];

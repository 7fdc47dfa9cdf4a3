import { readdirSync, realpathSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { basename, delimiter, join } from 'node:path';

/** What stands for an image: folders of this machine beside its `/usr` and `/etc`, which every container sees. */
export interface Image {
  match: RegExp;
  /** Read-only: path in the container to path on this machine. */
  binds?: Readonly<Record<string, string>>;
  writable?: Readonly<Record<string, string>>;
  /** Small programs the image holds: path in the container to the script's text. */
  scripts?: Readonly<Record<string, string>>;
  env?: Readonly<Record<string, string>>;
  /** The image's own entrypoint, for containers that name no command. */
  command?: readonly string[];
}

/** The first entry that matches holds; an image nobody describes is the bare machine. */
export type ImageTable = readonly Image[];

const BARE: Image = { match: /(?:)/ };

export function imageFor(table: ImageTable, name: string): Image {
  return table.find(({ match }) => match.test(name)) ?? BARE;
}

/** The table with its scripts written to files in `dir`, as binds like any other. */
export async function withScripts(table: ImageTable, dir: string): Promise<ImageTable> {
  return Promise.all(
    table.map(async ({ scripts = {}, ...image }, index) => {
      const folder = join(dir, String(index));
      const binds: Record<string, string> = { ...image.binds };
      for (const [at, text] of Object.entries(scripts)) {
        await mkdir(folder, { recursive: true });
        binds[at] = join(folder, basename(at));
        await writeFile(binds[at], text, { mode: 0o755 });
      }
      return { ...image, binds };
    }),
  );
}

/** `PATH` of a container whose image says nothing else. */
export const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The images Tekton's controller is started with (real-cluster.md §3).
 *
 * @param entrypoint folder that holds Tekton's own `entrypoint` program
 */
export function tektonImages(entrypoint: string): ImageTable {
  return [
    { match: /^local\/entrypoint\b/, binds: { '/ko-app': entrypoint } },
    {
      match: /^local\/workingdirinit\b/,
      scripts: { '/ko-app/workingdirinit': '#!/bin/sh\nexec mkdir -p -- "$@"\n' },
    },
  ];
}

/**
 * The image of our build step: this very checkout with its Node and its tools, so that `indexwright build-index` is what
 * a real image would hold.
 *
 * @param project the checkout
 * @param compileCache a folder where Node keeps what it compiled; half a second for each step
 */
export function builderImage({ project, compileCache }: { project: string; compileCache: string }): Image {
  const home = '/opt/indexwright';
  const tools = join(project, '.tools', 'bin');
  // Links lead out of the checkout, to the cache of built programs or to `/usr`: what they lead to is shown in their place.
  const programs = readdirSync(tools).map((name) => [`/opt/tools/${name}`, realpathSync(join(tools, name))] as const);
  const parts = ['bin', 'src', 'node_modules', 'package.json'].map(
    (name) => [join(home, name), realpathSync(join(project, name))] as const,
  );
  return {
    match: /^localhost\/indexwright\b/,
    binds: Object.fromEntries([...parts, ...programs]),
    writable: { '/var/cache/indexwright': compileCache },
    env: {
      PATH: [`${home}/bin`, '/opt/tools', PATH].join(delimiter),
      LANG: 'C.UTF-8',
      INDEXWRIGHT_OPM_DIR: '/opt/tools',
      NODE_COMPILE_CACHE: '/var/cache/indexwright',
    },
  };
}

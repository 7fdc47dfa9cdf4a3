/**
 * The longest turn of the event loop while a fragment of many megabytes is put into a catalog, as `opm render -o yaml`
 * prints it: what every other request of the worker waits. A turn's CPU time is told beside its length, which others on
 * the machine make longer. MEGABYTES, 20 by default.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { foldersOfFragment, replacePackage } from '../src/catalog/fragments.ts';
import { opmFor } from '../src/catalog/opm.ts';
import { createCatalogReader } from '../src/catalog/reader.ts';
import type { CatalogTree } from '../src/catalog/tree.ts';
import { readPackages } from '../src/catalog/update.ts';
import { validatePackages } from '../src/catalog/validate.ts';

if (process.argv.includes('--help')) {
  process.stdout.write('usage: node bench/fragment.ts\n\nMEGABYTES of the fragment, 20 by default.\n');
  process.exit(0);
}

const megabytes = Number(process.env.MEGABYTES ?? 20);
const dir = await mkdtemp(join(tmpdir(), 'indexwright-bench-'));
try {
  const opm = await opmFor({
    config: {
      dir: resolve(import.meta.dirname, '../.tools/bin'),
      versions: {},
      default: 'opm-v1.48.0',
      memory: 16_384,
      timeout: 600_000,
    },
    ocpVersion: undefined,
  });
  const around = { scratch: dir };
  for (const kind of ['YAML', 'JSON'] as const) {
    const fragment = join(dir, `fragment-${kind}`);
    const bytes = await writeFragment(fragment, kind);
    const tree = treeAt(join(dir, `configs-${kind}`));
    const delay = monitorEventLoopDelay({ resolution: 5 });
    delay.enable();
    const turns = watchTurns();
    const began = performance.now();
    await replacePackage(tree, 'gadget', fragment);
    await validatePackages(opm, tree, ['gadget'], around, Object.values(foldersOfFragment(fragment, 'gadget')));
    await readPackages(tree, ['gadget']);
    delay.disable();
    const cpu = turns.end().toFixed(0);
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    const longest = (delay.max / 1e6).toFixed(0);
    console.log(
      `${(bytes / 1e6).toFixed(1)} MB of ${kind}: ${seconds} s, longest turn ${longest} ms, ${cpu} ms of CPU at most`,
    );
  }

  function treeAt(configsDir: string): CatalogTree {
    const nothing = async () => {};
    const reader = createCatalogReader(opm, around);
    return { configsDir, reader, packages: async () => [], include: nothing, remove: nothing, clear: nothing };
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}

/** Milliseconds of CPU that this thread uses in one turn of its event loop, at most. */
function watchTurns(): { end(): number } {
  const used = () => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let [last, longest] = [used(), 0];
  const timer = setInterval(() => {
    const now = used();
    longest = Math.max(longest, now - last);
    last = now;
  }, 5);
  return {
    end() {
      clearInterval(timer);
      return longest;
    },
  };
}

/** @returns bytes of the one file that is written */
async function writeFragment(dir: string, kind: 'YAML' | 'JSON'): Promise<number> {
  const bundles = Math.ceil((megabytes * 1e6) / 50_000);
  const names = Array.from({ length: bundles }, (_, at) => `gadget.v1.0.${at}`);
  const documents = [
    { schema: 'olm.package', name: 'gadget', defaultChannel: 'stable' },
    {
      schema: 'olm.channel',
      package: 'gadget',
      name: 'stable',
      entries: names.map((name, at) => ({ name, ...(at === 0 ? {} : { replaces: names[at - 1] }) })),
    },
    ...names.map((name, at) => ({
      schema: 'olm.bundle',
      package: 'gadget',
      name,
      image: `quay.io/example/gadget-bundle@sha256:${String(at).padStart(64, '0')}`,
      properties: [
        { type: 'olm.package', value: { packageName: 'gadget', version: `1.0.${at}` } },
        { type: 'olm.csv.metadata', value: metadata(at) },
      ],
    })),
  ];
  const text =
    kind === 'JSON'
      ? documents.map((document) => `${JSON.stringify(document, null, 4)}\n`).join('')
      : documents.map((document) => `---\n${block(document, '')}`).join('');
  await mkdir(join(dir, 'gadget'), { recursive: true });
  await writeFile(join(dir, 'gadget', kind === 'JSON' ? 'catalog.json' : 'catalog.yaml'), text);
  return Buffer.byteLength(text);
}

function metadata(at: number): object {
  const lines = Array.from({ length: 400 }, (_, line) => ({
    name: `field-${line}`,
    path: `spec.parts[${at % 7}].value${line}`,
    description: `Number ${line} of the settings that version ${at} of this operator has.`,
  }));
  return { description: 'Made for a measurement.', maturity: 'stable', specDescriptors: lines.slice(0, 330) };
}

/** Block style with plain and quoted text, as opm prints YAML. */
function block(value: unknown, indent: string): string {
  if (Array.isArray(value)) {
    return value.map((item) => `${indent}- ${block(item, `${indent}  `).slice(indent.length + 2)}`).join('');
  }
  return Object.entries(value as object)
    .map(([key, item]) => {
      if (typeof item !== 'object') return `${indent}${key}: ${JSON.stringify(item)}\n`;
      return `${indent}${key}:\n${block(item, Array.isArray(item) ? indent : `${indent}  `)}`;
    })
    .join('');
}

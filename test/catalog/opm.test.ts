import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { opmFor, opmName } from '../../src/catalog/opm.ts';
import { opmMessage } from '../../src/catalog/opm-message.ts';
import { OPM_DIR } from './world.ts';

const config = {
  dir: OPM_DIR,
  versions: { 'v4.12': 'opm-v1.48.0', 'v4.19': 'opm-v1.73.0' },
  default: 'opm-v1.48.0',
  memory: 16384,
  timeout: 60_000,
};

describe('the opm of a request', () => {
  test('is the one mapped to exactly its OCP version, else the default', () => {
    expect(opmName(config, 'v4.19')).toBe('opm-v1.73.0');
    expect(opmName(config, 'v4.1')).toBe('opm-v1.48.0');
    expect(opmName(config, undefined)).toBe('opm-v1.48.0');
    expect(opmName(config, 'constructor')).toBe('opm-v1.48.0');
  });

  test('is asked for its version', async () => {
    expect(await opmFor({ config, ocpVersion: 'v4.19' })).toEqual({
      name: 'opm-v1.73.0',
      number: '1.73.0',
      path: join(OPM_DIR, 'opm-v1.73.0'),
      limits: { memory: 16384, timeout: 60_000 },
    });
  });
});

describe('an opm that cannot do the work', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'indexwright-opm-'));
  });
  afterAll(() => rm(dir, { recursive: true }));

  /** An opm as versions after v1.73.0 are: without the `registry` commands. */
  const program = (version: string, registry: string) =>
    `#!/bin/sh\ncase "$1" in\nversion) echo 'Version: version.Version{${version}}';;\nregistry) ${registry};;\nesac\n`;
  const HELP = '[ "$2" = --help ] && printf \'  add   add\\n  rm    remove\\n\' && exit 0';

  const failing = async (name: string, text?: string) => {
    if (text !== undefined) {
      await writeFile(join(dir, name), text);
      await chmod(join(dir, name), 0o755);
    }
    const failure = opmFor({ config: { ...config, dir, default: name }, ocpVersion: undefined });
    return failure.then(
      () => 'no failure',
      ({ code, message }) => `${code}: ${message}`,
    );
  };

  test('is named, with what is wrong', async () => {
    expect(await failing('opm-v9.0.0')).toMatchInlineSnapshot(
      `"opm_missing: opm-v9.0.0 is not installed here or cannot be run"`,
    );
    expect(
      await failing('opm-v1.74.0', program('OpmVersion:"v1.74.0"', 'echo "Error: unknown command" >&2; exit 1')),
    ).toMatchInlineSnapshot(
      `"opm_missing: opm-v1.74.0 has no "registry" commands for index.db; versions after v1.73.0 have lost them"`,
    );
    expect(await failing('opm-odd', program('OpmVersion:"unknown"', 'exit 0'))).toMatchInlineSnapshot(
      `"opm_missing: Opm version not found in the output of "OPM version" command"`,
    );
    const noSqlite = `${HELP}; echo 'Error: Binary was compiled with CGO_ENABLED=0' >&2; exit 1`;
    expect(await failing('opm-v1.50.0', program('OpmVersion:"v1.50.0"', noSqlite))).toMatchInlineSnapshot(
      `"opm_missing: opm-v1.50.0 cannot work with index.db: Binary was compiled with CGO_ENABLED=0"`,
    );
  });

  test('is asked again once it was installed', async () => {
    expect(await failing('opm-v1.60.0')).toContain('not installed');
    expect(await failing('opm-v1.60.0', program('OpmVersion:"v1.60.0"', `${HELP}; exit 0`))).toBe('no failure');
  });
});

describe("opm's own words", () => {
  test('an error line wins over the log', () => {
    const stderr = [
      'time="t" level=warning msg="\\x1b[1;33mDEPRECATION NOTICE:\\nSqlite\\x1b[0m"',
      'time="t" level=error msg="permissive mode disabled" error="other"',
      'Error: first',
      'Error: [Bundle a already exists, b]',
      'Usage:',
    ].join('\n');
    expect(opmMessage(stderr)).toBe('[Bundle a already exists, b]');
  });

  test('a fatal log line is unquoted, and its error taken where the message says nothing', () => {
    expect(opmMessage('time="t" level=fatal msg="invalid index:\\n└── \\"x\\" \\\\ \\u00e9"')).toBe(
      'invalid index:\n└── "x" \\ é',
    );
    expect(opmMessage('time="t" level=fatal msg="permissive mode disabled" error="no package found" pkg=x')).toBe(
      'no package found',
    );
    expect(opmMessage('time="t" level=fatal msg=short')).toBe('short');
  });

  test('a plain log line and a crash', () => {
    expect(opmMessage('2026/11/21 09:14:30 render reference "x": no')).toBe('render reference "x": no');
    expect(opmMessage('panic: runtime error: nil\n\ngoroutine 1 [running]:')).toBe('panic: runtime error: nil');
    expect(opmMessage('nothing of interest')).toBeUndefined();
  });

  test('local paths and colours stay here', () => {
    const stderr = 'Error: /srv/work/opm-1/x in /srv/work and ./bundle_tmp123/metadata \u001b[31mred\u001b[0m';
    expect(opmMessage(stderr, ['/srv/work', '/srv/work/opm-1'])).toBe('opm-1/x in work and bundle/metadata red');
  });
});

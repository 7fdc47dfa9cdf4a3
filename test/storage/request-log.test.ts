import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { requestLogs } from '../../src/storage/request-log.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { registerSecret } from '../../src/telemetry/secrets.ts';

test('what concerns requests stands in the log of each of them, readable and without secrets', () => {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-logs-'));
  try {
    registerSecret('planted-secret-value');
    const tell = requestLogs({ logsDir: dir, daysToLive: 3 }, [7, 8]);
    const log = createLog('silent', 'worker', tell);
    log.level = 'info';
    log.info({ step: 'build' }, 'step starts');
    log.error({ err: new Error('refused planted-secret-value') }, 'it failed');
    for (const id of [7, 8]) {
      const text = readFileSync(join(dir, `${id}.log`), 'utf8');
      expect(text).toMatch(/^\S+Z INFO step starts \{"step":"build"\}\n/);
      expect(text).toMatch(/ERROR it failed\nError: refused \*{5}/);
      expect(text).not.toContain('planted-secret-value');
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('a log that cannot be written fails nothing, and none is written where none is configured', () => {
  const line = '{"level":30,"time":"2026-01-01T00:00:00.000Z","name":"x","msg":"hello"}\n';
  expect(() => requestLogs({ logsDir: '/proc/no-such-directory', daysToLive: 3 }, [1])(line)).not.toThrow();
  expect(() => requestLogs({ daysToLive: 3 }, [1])(line)).not.toThrow();
});

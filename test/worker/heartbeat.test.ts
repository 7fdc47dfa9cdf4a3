import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import type { Log } from '../../src/telemetry/log.ts';
import { createLog } from '../../src/telemetry/log.ts';
import { startHeartbeat } from '../../src/worker/heartbeat.ts';

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'indexwright-heartbeat-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

test('says what the worker does as long as it does it, and every five seconds', () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const file = join(folder(), 'heartbeat');
  const heartbeat = startHeartbeat(file, createLog('silent', 'test'));
  expect(readFileSync(file, 'utf8')).toBe('waiting\n');
  heartbeat.say('ready');
  expect(readFileSync(file, 'utf8')).toBe('ready\n');
  rmSync(file);
  vi.advanceTimersByTime(5000);
  expect(readFileSync(file, 'utf8')).toBe('ready\n');
  heartbeat.stop();
  vi.advanceTimersByTime(60_000);
  expect(existsSync(file)).toBe(false);
});

test('a file that cannot be written is warned of once and ends nothing', () => {
  const warned: unknown[] = [];
  const log = { warn: (...words: unknown[]) => void warned.push(words) } as unknown as Log;
  const heartbeat = startHeartbeat(join(folder(), 'nowhere', 'heartbeat'), log);
  heartbeat.say('ready');
  heartbeat.stop();
  expect(warned).toHaveLength(1);
});

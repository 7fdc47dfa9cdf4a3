import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { createLog } from '../../src/telemetry/log.ts';
import { inSecretScope, registerRequestSecret } from '../../src/telemetry/secrets.ts';

test('requests that are worked on side by side: each log hides its own token, and keeps what others call a token', async () => {
  const lines = { one: [] as string[], two: [] as string[] };
  const work = (name: keyof typeof lines, token: string, text: string) =>
    inSecretScope(async () => {
      registerRequestSecret(token);
      const log = createLog('info', 'test', (line) => lines[name].push(line));
      for (let at = 0; at < 5; at += 1) {
        await sleep(1);
        log.info({ text }, `asks ${text} with ${token}`);
      }
    });
  await Promise.all([
    work('one', 'x:127.0.0.1', 'host 127.0.0.1:5000'),
    work('two', '","msg":"', 'a field named x: none'),
  ]);
  const told = (line: string) =>
    (({ text, msg }) => ({ text, msg }))(JSON.parse(line) as { text: string; msg: string });
  expect(new Set(lines.one.map((line) => JSON.stringify(told(line))))).toEqual(
    new Set([JSON.stringify({ text: 'host 127.0.0.1:5000', msg: 'asks host 127.0.0.1:5000 with *****' })]),
  );
  expect(lines.two.map(told)).toEqual(
    Array.from({ length: 5 }, () => ({ text: 'a field named x: none', msg: 'asks a field named x: none with *****' })),
  );
});

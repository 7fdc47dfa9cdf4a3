import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';

const { forms, stop } = workerData as { forms: string[]; stop: Int32Array };
/** A process is not looked at any more when it is so old, in milliseconds: its command line will not change again. */
const SETTLED = 1000;

const firstSeen = new Map<string, number>();
const programs = new Set<string>();
const leaks = new Set<string>();
let looks = 0;

function look(): void {
  const now = Date.now();
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  for (const pid of pids) {
    const since = firstSeen.get(pid);
    if (since !== undefined && now - since > SETTLED) continue;
    if (since === undefined) firstSeen.set(pid, now);
    const line = commandLine(pid);
    if (line === '') continue;
    programs.add(basename(line.split('\0')[0] ?? ''));
    if (forms.some((form) => line.includes(form))) leaks.add(line.replaceAll('\0', ' '));
  }
  const alive = new Set(pids);
  for (const pid of firstSeen.keys()) if (!alive.has(pid)) firstSeen.delete(pid);
  looks += 1;
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

look();
parentPort?.postMessage('watching');
while (Atomics.wait(stop, 0, 0, 2) === 'timed-out') look();
look();
parentPort?.postMessage({ programs: [...programs].sort(), leaks: [...leaks], looks });

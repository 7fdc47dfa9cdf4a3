import { readFileSync } from 'node:fs';

/** Whether such a process runs. A killed orphan may stay a zombie for a while: nothing of it runs. */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

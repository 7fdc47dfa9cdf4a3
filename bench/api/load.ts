import { Pool } from 'undici';

export interface Call {
  method: 'GET' | 'POST';
  path: string;
  body?: string;
}

export interface Measured {
  perSecond: number;
  /** Milliseconds. */
  p50: number;
  p99: number;
  /** Of the very first answer, before anything was remembered. */
  first: number;
  answers: number;
}

/**
 * Asks for `seconds` with so many connections at once, each asking again as soon as it has its answer.
 *
 * @throws Error at the first answer with another status than `expected`
 */
export async function measure(
  url: string,
  next: (n: number) => Call,
  { seconds, connections, expected }: { seconds: number; connections: number; expected: number },
): Promise<Measured> {
  const pool = new Pool(url, { connections });
  let sent = 0;
  const ask = async (): Promise<number> => {
    sent += 1;
    const { method, path, body } = next(sent);
    const began = performance.now();
    const headers = { 'x-remote-user': 'bench@EXAMPLE.COM', ...(body ? { 'content-type': 'application/json' } : {}) };
    const answer = await pool.request({ method, path, headers, ...(body ? { body } : {}) });
    const text = await answer.body.text();
    if (answer.statusCode !== expected) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
    return performance.now() - began;
  };
  try {
    const first = await ask();
    for (const warmUp = performance.now() + 1000; performance.now() < warmUp; ) await ask();
    const times: number[] = [];
    const began = performance.now();
    const lane = async () => {
      while (performance.now() - began < seconds * 1000) times.push(await ask());
    };
    await Promise.all(Array.from({ length: connections }, lane));
    const lasted = (performance.now() - began) / 1000;
    times.sort((a, b) => a - b);
    const quantile = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
    return { perSecond: times.length / lasted, p50: quantile(0.5), p99: quantile(0.99), first, answers: times.length };
  } finally {
    await pool.close();
  }
}

/** What the client is made to see. `drop` cuts the connection. */
export type FaultAnswer = 'drop' | { status: number; body?: unknown; headers?: Record<string, string> };

export interface CallFault {
  method?: string;
  /** Tested against the decoded path, and against the path with its query (`/grp/x.git/info/refs?service=…`). */
  path: RegExp;
  /** `after`: the call takes effect, and only then the client sees the answer. `before` when left out. */
  when?: 'before' | 'after';
  /** Leave out to only delay. */
  answer?: FaultAnswer;
  /** Milliseconds. */
  delay?: number;
  /** So many matching calls pass unharmed first. */
  skip?: number;
  /** How many calls are hit; 1 when left out, `Infinity` for all. */
  times?: number;
}

import { EventEmitter, once } from 'node:events';
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';

export interface LogQuery {
  tailLines?: number | undefined;
  limitBytes?: number | undefined;
}

/** What the containers of pods have written, one file each: the kubelet's part of `pods/log`. Pods are named by uid. */
export class PodLogs {
  readonly #dir: string;
  readonly #open = new Set<string>();
  readonly #events = new EventEmitter<Record<string, []>>();

  constructor(dir: string) {
    this.#dir = dir;
    this.#events.setMaxListeners(0);
  }

  /** Marks a container's log as being written, so that followers wait for more. */
  begin(uid: string, container: string): void {
    const file = this.#file(uid, container);
    mkdirSync(dirname(file), { recursive: true });
    appendFileSync(file, '');
    this.#open.add(file);
  }

  append(uid: string, container: string, chunk: string | Buffer): void {
    const file = this.#file(uid, container);
    appendFileSync(file, chunk);
    this.#events.emit(file);
  }

  end(uid: string, container: string): void {
    const file = this.#file(uid, container);
    this.#open.delete(file);
    this.#events.emit(file);
  }

  /** What is there now; undefined when the container has not started. */
  read(uid: string, container: string, { tailLines, limitBytes }: LogQuery = {}): Buffer | undefined {
    const file = this.#file(uid, container);
    if (!existsSync(file)) return undefined;
    let content = readFileSync(file);
    if (tailLines !== undefined) {
      const lines = content.toString().split(/(?<=\n)/);
      content = Buffer.from(tailLines === 0 ? '' : lines.slice(-tailLines).join(''));
    }
    return limitBytes === undefined ? content : content.subarray(0, limitBytes);
  }

  /** All of it, and what is still to come until the container ends or `signal` aborts. */
  async *follow(uid: string, container: string, signal: AbortSignal): AsyncGenerator<Buffer> {
    const file = this.#file(uid, container);
    for (let sent = 0; ; ) {
      const more = this.#open.has(file) ? once(this.#events, file, { signal }).catch(() => []) : undefined;
      const content = this.read(uid, container)?.subarray(sent) ?? Buffer.alloc(0);
      if (content.length > 0) yield content;
      sent += content.length;
      if (more === undefined || signal.aborted) return;
      await more;
    }
  }

  forget(uid: string): void {
    rmSync(join(this.#dir, uid), { recursive: true, force: true });
  }

  #file(uid: string, container: string): string {
    return join(this.#dir, uid, `${container}.log`);
  }
}

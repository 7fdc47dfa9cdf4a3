import { createHash } from 'node:crypto';
import type { RegistryClient } from '../../../src/registry/client.ts';
import type { TarEntry } from '../../registry/fixtures.ts';

/** A request made to do harm: it fails or does none, and what it must say. */
export interface HostileCase {
  name: string;
  route: string;
  /** Throw-away, against the index of {@link Stage}, unless it says otherwise. */
  body(stage: Stage): Promise<Record<string, unknown>> | Record<string, unknown>;
  reason: RegExp;
  /** `failed` by default; `complete` for what is harmless as opm reads it, a status for what the API refuses. */
  state?: 'complete' | '400';
}

/** Where hostile things are put. */
export interface Stage {
  client: RegistryClient;
  /** A reference nobody has used. */
  ref(): string;
  /** Absolute path that must never come to be, whatever an image says. */
  forbidden: string;
  /** Damages a blob, a tar, where the registry keeps it. */
  damage(digest: string): void;
}

/** Makes an image and gives its pull spec. */
export type Make = (stage: Stage) => Promise<string>;

export const file = (name: string, content: string | Buffer = name): TarEntry => ({ name, content });

/** Brackets that open and close so many times. */
export const nested = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`;

/** Ten billion strings, if anybody counts. */
export const laughs = (key: string) =>
  `${key}\n${Array.from({ length: 10 }, (_, at) => {
    const item = at === 0 ? 'ha' : `*a${at - 1}`;
    return `a${at}: &a${at} [${Array.from({ length: 10 }, () => item).join(', ')}]`;
  }).join('\n')}\n`;

/** From any folder to an absolute path. */
export const climbing = (path: string) => `${'../'.repeat(16)}${path.slice(1)}`;

/** Bytes without meaning, the same at each call. */
export function noise(length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, at) =>
    createHash('sha256').update(`${at}`).digest(),
  );
  return Buffer.concat(blocks).subarray(0, length);
}

import type { ListEntry } from './manifest.ts';

/** What an image runs on; lists name it for each entry, and images in their config. */
export interface Platform {
  os: string;
  architecture: string;
  variant?: string | undefined;
}

/** Variants that an architecture has when none is named. */
const USUAL_VARIANTS: Record<string, string> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };

/** Whether an entry is there for an image, and not for what is said about one: build attestations, signatures. */
export function isForImage({ platform, annotations, artifactType }: ListEntry): boolean {
  if (annotations['vnd.docker.reference.type'] !== undefined || artifactType !== undefined) return false;
  return !(platform?.os === 'unknown' && platform.architecture === 'unknown');
}

/** How well a platform serves where linux/amd64 is wanted: 0 is that, more is worse. Unnamed platforms follow the right one. */
export function distanceFromWanted(platform: Platform | null): number {
  if (platform === null) return 1;
  if (platform.os !== 'linux') return 4;
  if (platform.architecture !== 'amd64') return 3;
  return isUsual(platform) ? 0 : 2;
}

/** Whether it is the variant that is meant when none is named. */
export function isUsual({ architecture, variant }: Platform): boolean {
  return variant === undefined || variant === '' || variant === USUAL_VARIANTS[architecture];
}

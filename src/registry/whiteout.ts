import { posix } from 'node:path';

/**
 * What an entry of a layer says: there is something at a path, nothing of lower layers is at a path any more, or
 * nothing of lower layers is in a directory any more (OCI image-spec, layer.md).
 */
export interface Statement {
  says: 'present' | 'gone' | 'emptied' | 'nothing';
  path: string;
}

const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Other names with this prefix are a storage driver's own business. */
const RESERVED = '.wh..wh.';

/** Reads the path of a layer's entry. */
export function statementOf(path: string): Statement {
  const [dir, name] = [posix.dirname(path), posix.basename(path)];
  if (name === OPAQUE) return { says: 'emptied', path: dir === '.' ? '' : dir };
  if (name.startsWith(RESERVED)) return { says: 'nothing', path };
  if (!name.startsWith(PREFIX)) return { says: 'present', path };
  const gone = name.slice(PREFIX.length);
  return gone === '' || gone === '.' || gone === '..'
    ? { says: 'nothing', path }
    : { says: 'gone', path: posix.join(dir, gone) };
}

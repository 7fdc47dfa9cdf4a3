/** What an entry of a layer says about the name it stands for (OCI image-spec, layer.md). */
export type Statement =
  /** There is something of this name. */
  | { says: 'present'; name: string }
  /** Nothing of lower layers has this name any more. */
  | { says: 'gone'; name: string }
  /** Nothing of lower layers is in the entry's directory any more. */
  | { says: 'emptied' }
  | { says: 'nothing' };

const PREFIX = '.wh.';
const OPAQUE = '.wh..wh..opq';
/** Other names with this prefix are a storage driver's own business. */
const RESERVED = '.wh..wh.';

/** Reads the last segment of an entry's path. */
export function statementOf(name: string): Statement {
  if (name === OPAQUE) return { says: 'emptied' };
  if (name.startsWith(RESERVED)) return { says: 'nothing' };
  if (!name.startsWith(PREFIX)) return { says: 'present', name };
  const gone = name.slice(PREFIX.length);
  return gone === '' || gone === '.' || gone === '..' ? { says: 'nothing' } : { says: 'gone', name: gone };
}

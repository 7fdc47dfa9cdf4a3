import type { Config } from '../config/schema.ts';

/** Who calls. */
export interface Identity {
  /** The principal, verbatim; null = anonymous (rest-api.md §7.1). */
  user: string | null;
  /** Groups of a token; none for principals named by a proxy. */
  groups: readonly string[];
}

export type Role = 'submit' | 'overwrite' | 'worker' | 'admin';

/**
 * Whether the caller holds the role. Without configuration IIB's rules hold (rest-api.md §6, §7.2): everybody may
 * submit and overwrite, workers are those of `workerUsers` and, where login is disabled, whoever is anonymous.
 */
export function holds(identity: Identity, role: Role, { roles, workerUsers }: Config['api']): boolean {
  const { user } = identity;
  if (isAmong(identity, roles.admin)) return true;
  switch (role) {
    case 'admin':
      return false;
    case 'submit':
      return roles.submit === undefined || isAmong(identity, roles.submit);
    case 'overwrite':
      return roles.overwrite === undefined || isAmong(identity, roles.overwrite);
    case 'worker':
      if (roles.worker !== undefined) return isAmong(identity, roles.worker);
      return user === null || workerUsers.includes(user);
  }
}

/** Names are principals, `group:NAME` or `*`. */
function isAmong({ user, groups }: Identity, members: readonly string[]): boolean {
  return members.some(
    (member) =>
      member === '*' ||
      (member.startsWith('group:') ? groups.includes(member.slice('group:'.length)) : member === user),
  );
}

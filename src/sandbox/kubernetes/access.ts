import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { registerSecret } from '../../telemetry/secrets.ts';
import type { Call } from './call.ts';
import { RESOURCES } from './object.ts';
import { boundRules, Rule } from './rbac.ts';
import { Refusal } from './refusal.ts';
import type { Store } from './store.ts';

const Account = z.object({
  user: z.string(),
  token: z.string(),
  rules: z.array(Rule),
  /** Of the ServiceAccount the token was asked for; without that object the token is worthless. */
  uid: z.string().optional(),
});
type Account = z.infer<typeof Account>;

const EVERYTHING: Rule = { verbs: ['*'], groups: ['*'], resources: ['*'], namespaces: ['*'] };
/** Anyone, even anonymous, may read these (the role `system:public-info-viewer`). */
const PUBLIC = /^\/(healthz|livez|readyz|version)(\/|$)/;
/** And these, anyone with a token (the role `system:discovery`). */
const DISCOVERY = /^\/(apis?|openapi)(\/|$)/;

/** Bearer tokens, kept in one private file, and what they and the Roles bound to their holders allow (real-cluster.md §2: anonymous is 403, a bad token 401). */
export class Access {
  readonly #dir: string;
  readonly #store: Store;
  readonly #accounts: Account[];

  constructor(dir: string, store: Store) {
    this.#dir = dir;
    this.#store = store;
    this.#accounts = existsSync(this.#file) ? z.array(Account).parse(JSON.parse(readFileSync(this.#file, 'utf8'))) : [];
    for (const { token } of this.#accounts) registerSecret(token);
    if (!this.#accounts.some(({ user }) => user === 'admin')) this.#grant('admin', [EVERYTHING]);
  }

  get admin(): string {
    return this.#accounts.find(({ user }) => user === 'admin')?.token ?? '';
  }

  /**
   * Gives a service account exactly these rules and a token; called again, it keeps the token and changes the rules.
   * The token also stands in a file (mode 0600) for programs that read it there.
   */
  serviceAccount(namespace: string, name: string, rules: readonly Rule[]): { token: string; tokenFile: string } {
    const token = this.#grant(`system:serviceaccount:${namespace}:${name}`, [...rules]);
    return { token, tokenFile: this.#tokenFile(namespace, name) };
  }

  /** The answer to a TokenRequest: a token that is good while the ServiceAccount is there. @throws Refusal 404 */
  tokenFor(namespace: string, name: string): string {
    const { uid } = this.#store.get(RESOURCES.serviceaccounts, { namespace, name }).metadata;
    const user = `system:serviceaccount:${namespace}:${name}`;
    const known = this.#accounts.find((account) => account.user === user);
    if (known && (known.uid ?? uid) === uid) return known.token;
    this.revoke(namespace, name);
    return this.#grant(user, [], uid);
  }

  /** Makes the account's token worthless, as its expiry does; with `renew` a new one is written to the token file. */
  revoke(namespace: string, name: string, then: 'revoke' | 'renew' = 'revoke'): string | undefined {
    const user = `system:serviceaccount:${namespace}:${name}`;
    const index = this.#accounts.findIndex((account) => account.user === user);
    const [account] = index < 0 ? [] : this.#accounts.splice(index, 1);
    this.#save();
    return account && then === 'renew' ? this.#grant(user, account.rules) : undefined;
  }

  /** The caller's user name. @throws Refusal 401 for a token nobody has */
  authenticate(authorization: string | undefined): string {
    if (authorization === undefined) return 'system:anonymous';
    const token = /^Bearer\s+(.+)$/i.exec(authorization)?.[1];
    const account = this.#accounts.find((candidate) => candidate.token === token);
    if (!account || !this.#lives(account)) throw new Refusal(401, 'Unauthorized', 'Unauthorized');
    return account.user;
  }

  allows(user: string, verb: string, group: string, resource: string, namespace: string | undefined): boolean {
    const own = this.#accounts.find((account) => account.user === user)?.rules ?? [];
    const rules = [...own, ...boundRules(this.#store, user)];
    const covers = (list: string[], value: string) => list.includes('*') || list.includes(value);
    return rules.some(
      (rule) =>
        covers(rule.verbs, verb) &&
        covers(rule.groups, group) &&
        covers(rule.resources, resource) &&
        (rule.namespaces.includes('*') || (namespace !== undefined && rule.namespaces.includes(namespace))),
    );
  }

  /** @throws Refusal 403 in the server's words */
  authorize(user: string, call: Call): void {
    if (call.resource === undefined) {
      if (PUBLIC.test(call.path)) return;
      if (user !== 'system:anonymous' && (DISCOVERY.test(call.path) || user === 'admin')) return;
      throw new Refusal(403, 'Forbidden', `forbidden: User "${user}" cannot ${call.verb} path "${call.path}"`, {});
    }
    const { resource, name, part, verb, namespace } = call;
    const full = part === undefined ? resource.plural : `${resource.plural}/${part}`;
    if (this.allows(user, verb, resource.group, full, namespace)) return;
    const where = namespace === undefined ? 'at the cluster scope' : `in the namespace "${namespace}"`;
    const qualified = resource.group === '' ? resource.plural : `${resource.plural}.${resource.group}`;
    const subject = name === undefined ? qualified : `${qualified} "${name}"`;
    throw new Refusal(
      403,
      'Forbidden',
      `${subject} is forbidden: User "${user}" cannot ${verb} resource "${full}" in API group "${resource.group}" ${where}`,
      {
        ...(name === undefined ? {} : { name }),
        ...(resource.group === '' ? {} : { group: resource.group }),
        kind: resource.plural,
      },
    );
  }

  get #file(): string {
    return join(this.#dir, 'tokens.json');
  }

  #tokenFile(namespace: string, name: string): string {
    return join(this.#dir, `token-${namespace}-${name}`);
  }

  #lives({ user, uid }: Account): boolean {
    if (uid === undefined) return true;
    const [, , namespace, name = ''] = user.split(':');
    return this.#store.find(RESOURCES.serviceaccounts, { namespace, name })?.metadata.uid === uid;
  }

  #grant(user: string, rules: Rule[], uid?: string): string {
    let account = this.#accounts.find((candidate) => candidate.user === user);
    if (account) account.rules = rules;
    else {
      account = { user, token: randomBytes(32).toString('base64url'), rules, ...(uid === undefined ? {} : { uid }) };
      this.#accounts.push(account);
    }
    registerSecret(account.token);
    this.#save();
    const [, , namespace, name] = user.split(':');
    if (namespace && name) writeFileSync(this.#tokenFile(namespace, name), account.token, { mode: 0o600 });
    return account.token;
  }

  #save(): void {
    writeFileSync(`${this.#file}.new`, JSON.stringify(this.#accounts, null, 2), { mode: 0o600 });
    renameSync(`${this.#file}.new`, this.#file);
  }
}

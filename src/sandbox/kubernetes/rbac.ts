import { z } from 'zod';
import { RESOURCES } from './object.ts';
import type { Store } from './store.ts';

export const Rule = z.object({
  verbs: z.array(z.string()),
  groups: z.array(z.string()),
  /** `pods`, `pods/log`, `*`. */
  resources: z.array(z.string()),
  /** Namespaces the rule holds in; `*` for all and for what has no namespace. */
  namespaces: z.array(z.string()),
});
/** Who may do what where: a Role and its RoleBindings in one. */
export type Rule = z.infer<typeof Rule>;

const Role = z.object({
  rules: z
    .array(z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }))
    .default([]),
});
const RoleBinding = z.object({
  metadata: z.object({ namespace: z.string() }),
  subjects: z.array(z.object({ kind: z.string(), name: z.string(), namespace: z.string().optional() })).default([]),
  roleRef: z.object({ kind: z.string(), name: z.string() }),
});

/** What the Roles of the cluster give a service account (`system:serviceaccount:NAMESPACE:NAME`) by RoleBindings. */
export function boundRules(store: Store, user: string): Rule[] {
  return store.list(RESOURCES.rolebindings).flatMap((object) => {
    const { metadata, subjects, roleRef } = RoleBinding.parse(object);
    const { namespace } = metadata;
    const bound = subjects.some(
      (subject) =>
        subject.kind === 'ServiceAccount' &&
        `system:serviceaccount:${subject.namespace ?? namespace}:${subject.name}` === user,
    );
    if (!bound || roleRef.kind !== 'Role') return [];
    const role = Role.parse(store.find(RESOURCES.roles, { namespace, name: roleRef.name }) ?? {});
    return role.rules.map(({ apiGroups, resources, verbs }) => ({
      verbs,
      groups: apiGroups,
      resources,
      namespaces: [namespace],
    }));
  });
}

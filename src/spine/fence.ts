/**
 * The same object, each of whose methods first makes sure that this job may still work on the delivery. Systems outside
 * know nothing of leases: a job that was thought dead and goes on must ask before each call, not only when it writes the
 * journal. What is under way in the moment of a takeover is not stopped; steps look before they act.
 *
 * @param assertHeld throws Failure `lease_lost` when another job has taken the delivery over
 */
export function fenced<T extends object>(target: T, assertHeld: () => Promise<void>): T {
  return new Proxy(target, {
    get(whole, name, receiver) {
      const member: unknown = Reflect.get(whole, name, receiver);
      if (typeof member !== 'function') return member;
      return async (...given: unknown[]) => {
        await assertHeld();
        return member.apply(whole, given);
      };
    },
  });
}

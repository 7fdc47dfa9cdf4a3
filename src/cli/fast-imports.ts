import { type ResolveFnOutput, registerHooks } from 'node:module';

/**
 * Node 24 parses the whole `exports` of a package again for each of its modules. Those of drizzle-orm are 180 kB and 108
 * modules are loaded of it: half of the time the service took to start. The Kubernetes client has 868 modules, each of which
 * Node looks for on the disk before it reads it. So what these modules are is told here.
 */
const OF_MANY_MODULES = /\/node_modules\/(drizzle-orm|@kubernetes\/client-node)\/.*\.js$/;
const known = new Map<string, ResolveFnOutput>();

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL = '' } = context;
    if (specifier.startsWith('.') && specifier.endsWith('.js') && OF_MANY_MODULES.test(parentURL)) {
      return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
    }
    if (!specifier.startsWith('drizzle-orm')) return next(specifier, context);
    const resolved = known.get(specifier) ?? next(specifier, context);
    known.set(specifier, resolved);
    return { ...resolved, shortCircuit: true };
  },
});

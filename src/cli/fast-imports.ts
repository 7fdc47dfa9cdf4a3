import { type ResolveFnOutput, registerHooks } from 'node:module';

/**
 * Node 24 parses the whole `exports` of a package again for each of its modules. Those of drizzle-orm are 180 kB and 108
 * modules are loaded of it: half of the time the service took to start. So what these modules are is told here.
 */
const OF_DRIZZLE = /\/node_modules\/drizzle-orm\/.*\.js$/;
const known = new Map<string, ResolveFnOutput>();

registerHooks({
  resolve(specifier, context, next) {
    const { parentURL = '' } = context;
    if (specifier.startsWith('.') && specifier.endsWith('.js') && OF_DRIZZLE.test(parentURL)) {
      return { url: new URL(specifier, parentURL).href, format: 'module', shortCircuit: true };
    }
    if (!specifier.startsWith('drizzle-orm')) return next(specifier, context);
    const resolved = known.get(specifier) ?? next(specifier, context);
    known.set(specifier, resolved);
    return { ...resolved, shortCircuit: true };
  },
});

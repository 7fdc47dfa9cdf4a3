import { type HostileCase, nested } from './hostile-case.ts';

const sending = (name: string, reason: RegExp, route: string, body: Record<string, unknown>): HostileCase => ({
  name: `${route}: ${name}`,
  route,
  reason,
  body: () => body,
});

const refused = (...of: Parameters<typeof sending>): HostileCase => ({ ...sending(...of), state: '400' });

/** Names and pull specs that must never become paths or arguments. */
export const HOSTILE_NAMES: HostileCase[] = [
  ...['../configs', '-rf', 'ünïcode', 'a'.repeat(300), 'a,b'].map((name) =>
    sending(`the operator ${name.slice(0, 40)}`, /is not a valid package name$/, 'rm', { operators: [name] }),
  ),
  refused('NUL in a name', /^\{"error":/, 'rm', { operators: ['a\0b'] }),
  refused('half a character in a name', /^\{"error":/, 'rm', { operators: ['a\ud800'] }),
  refused('an operator that is no text', /^\{"error":/, 'rm', { operators: [{ toString: 'x' }] }),
  sending('a package that is a path', /Cannot add deprecations for/, 'add-deprecations', {
    operator_package: '../../x',
    deprecation_schema: '{}',
  }),
  refused('a schema nested 10,000 levels', /should be valid JSON/, 'add-deprecations', {
    operator_package: 'lighthouse',
    deprecation_schema: nested(10_000),
  }),
  sending('a bundle that is an option', /does not name its registry/, 'add', { bundles: ['--help:latest'] }),
  sending('a bundle that is a path', /is not a registry/, 'add', { bundles: ['../../etc/passwd:latest'] }),
  sending('a bundle in a repository that is a path', /is not a repository/, 'add', {
    bundles: ['localhost:1/../../x:latest'],
  }),
  refused('a build tag that is a path', /"build_tags.* is not a tag/, 'add', {
    bundles: [],
    build_tags: ['../../catalogs/example-index:v4.19'],
  }),
  sending('a binary image that is a path', /does not name its registry/, 'add', {
    bundles: [],
    binary_image: '/etc/passwd:x',
  }),
  sending('an index that is a path', /is not a registry/, 'rm', {
    operators: ['x'],
    from_index: 'file:///etc/passwd:v1',
  }),
];

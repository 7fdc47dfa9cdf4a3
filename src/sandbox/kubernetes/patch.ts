import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { badRequest, Refusal } from './refusal.ts';

/** JSON merge patch (RFC 7386): null removes, objects merge, everything else replaces. */
export function mergePatch(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const merged: Record<string, unknown> =
    typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete merged[key];
    else merged[key] = mergePatch(merged[key], value);
  }
  return merged;
}

const Operation = z.object({
  op: z.enum(['add', 'remove', 'replace', 'move', 'copy', 'test']),
  path: z.string(),
  from: z.string().optional(),
  value: z.unknown().optional(),
});
type Operation = z.infer<typeof Operation>;
type Container = Record<string, unknown> | unknown[];

const steps = (pointer: string) =>
  pointer
    .split('/')
    .slice(1)
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));

const read = (container: unknown, step: string): unknown => (container as Record<string, unknown> | undefined)?.[step];

/** The server keeps to itself which operation it was. */
const refused = () => new Refusal(422, 'Invalid', 'the server rejected our request due to an error in our request', {});

function parentOf(document: unknown, pointer: string): { parent: Container; last: string } {
  const path = steps(pointer);
  const last = path.pop() ?? '';
  const parent = path.reduce(read, document);
  if (typeof parent !== 'object' || parent === null) throw refused();
  return { parent: parent as Container, last };
}

function add(document: unknown, operation: Operation, value: unknown): void {
  const { parent, last } = parentOf(document, operation.path);
  if (!Array.isArray(parent)) parent[last] = value;
  else parent.splice(last === '-' ? parent.length : Number(last), 0, value);
}

function take(document: unknown, pointer: string): unknown {
  const { parent, last } = parentOf(document, pointer);
  if (!Object.hasOwn(parent, last)) throw refused();
  if (Array.isArray(parent)) return parent.splice(Number(last), 1)[0];
  const taken = parent[last];
  delete parent[last];
  return taken;
}

/** JSON patch (RFC 6902) on a copy. @throws Refusal 422 when an operation does not apply */
export function jsonPatch(target: unknown, patch: unknown): unknown {
  const operations = z.array(Operation).safeParse(patch);
  if (!operations.success) throw badRequest('error decoding patch: json: cannot unmarshal object into Go value');
  const document = structuredClone(target);
  for (const operation of operations.data) {
    const from = operation.from ?? '';
    if (operation.op === 'add') add(document, operation, operation.value);
    else if (operation.op === 'remove') take(document, operation.path);
    else if (operation.op === 'replace') {
      take(document, operation.path);
      add(document, operation, operation.value);
    } else if (operation.op === 'move') add(document, operation, take(document, from));
    else {
      const value = steps(operation.op === 'copy' ? from : operation.path).reduce<unknown>(read, document);
      if (operation.op === 'copy') add(document, operation, structuredClone(value));
      else if (JSON.stringify(value) !== JSON.stringify(operation.value)) {
        throw refused();
      }
    }
  }
  return document;
}

/**
 * Applies a PATCH body by its content type. Apply patches merge: ownership of fields is not tracked.
 *
 * @throws Refusal 415 for a type the resource does not take, 400 and 422 for a bad patch
 */
export function applyPatch(
  target: unknown,
  contentType: string,
  body: string,
  { builtin }: { builtin: boolean },
): unknown {
  const type = contentType.split(';')[0]?.trim();
  const parsed = () => {
    try {
      return type === 'application/apply-patch+yaml' ? parseYaml(body) : JSON.parse(body);
    } catch (cause) {
      throw badRequest(`error decoding patch: ${cause instanceof Error ? cause.message : cause}`);
    }
  };
  if (type === 'application/json-patch+json') return jsonPatch(target, parsed());
  if (type === 'application/merge-patch+json' || type === 'application/apply-patch+yaml')
    return mergePatch(target, parsed());
  if (type === 'application/strategic-merge-patch+json' && builtin) return mergePatch(target, parsed());
  const accepted = ['application/json-patch+json', 'application/merge-patch+json', 'application/apply-patch+yaml'];
  throw new Refusal(
    415,
    'UnsupportedMediaType',
    `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
  );
}

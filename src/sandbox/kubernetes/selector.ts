import type { KubeObject } from './object.ts';
import { badRequest } from './refusal.ts';

export type Matches = (object: KubeObject) => boolean;

const KEY = '[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?';
const VALUE = '[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?';
const EQUALITY = new RegExp(`^(${KEY})\\s*(==|=|!=)\\s*(${VALUE})?$`);
const SET = new RegExp(`^(${KEY})\\s+(in|notin)\\s*\\(([^()]*)\\)$`);
const EXISTS = new RegExp(`^(!?)\\s*(${KEY})$`);

/**
 * Parses a label selector: `a=b`, `a==b`, `a!=b`, `a in (x, y)`, `a notin (x, y)`, `a`, `!a`, joined by commas.
 *
 * @throws Refusal 400 as the server words it
 */
export function labelSelector(text: string): Matches {
  // Commas inside of parentheses separate values, all others separate requirements.
  const requirements = text
    .split(/,(?![^(]*\))/)
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(requirement);
  return (object) => requirements.every((holds) => holds(object.metadata.labels ?? {}));
}

function requirement(part: string): (labels: Record<string, string>) => boolean {
  const equality = EQUALITY.exec(part);
  if (equality) {
    const [, key = '', operator, value = ''] = equality;
    return operator === '!=' ? (labels) => labels[key] !== value : (labels) => labels[key] === value;
  }
  const set = SET.exec(part);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const values = list.split(',').map((value) => value.trim());
    return operator === 'in'
      ? (labels) => labels[key] !== undefined && values.includes(labels[key])
      : (labels) => labels[key] === undefined || !values.includes(labels[key]);
  }
  const exists = EXISTS.exec(part);
  if (exists) {
    const [, not, key = ''] = exists;
    return not ? (labels) => labels[key] === undefined : (labels) => labels[key] !== undefined;
  }
  // The server's reader stops at the first thing that cannot stand where it stands.
  const found = /[^A-Za-z0-9._/=!\s-]/.exec(part)?.[0] ?? part;
  throw badRequest(`unable to parse requirement: found '${found}', expected: identifier`);
}

/**
 * Parses a field selector; custom resources and this server know `metadata.name` and `metadata.namespace` only.
 *
 * @throws Refusal 400 for any other field
 */
export function fieldSelector(text: string): Matches {
  const requirements = text
    .split(',')
    .filter((part) => part.trim() !== '')
    .map((part) => {
      const [, field = '', operator, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part.trim()) ?? [];
      if (field !== 'metadata.name' && field !== 'metadata.namespace') {
        throw badRequest(`field label not supported: ${field || part}`);
      }
      const read = (object: KubeObject) => object.metadata[field === 'metadata.name' ? 'name' : 'namespace'] ?? '';
      return (object: KubeObject) => (operator === '!=' ? read(object) !== value : read(object) === value);
    });
  return (object) => requirements.every((holds) => holds(object));
}

import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { Preparation } from '../../src/onboarding/preparation.ts';
import { RECOMMENDED } from '../../src/onboarding/settings.ts';
import { codeIn, page, rowsOf, section } from './page.ts';

const Node = z.object({
  default: z.unknown().optional(),
  required: z.array(z.string()).default([]),
  properties: z.record(z.string(), z.unknown()).optional(),
  oneOf: z.array(z.unknown()).default([]),
});

/** Setting, dotted → its default as JSON, `required`, or `none`; those of all variants of a union. */
function settingsOf(schema: unknown, prefix = ''): [string, string][] {
  const { properties = {}, required, oneOf } = Node.parse(schema);
  const own = Object.entries(properties).flatMap(([name, below]): [string, string][] => {
    const node = Node.parse(below);
    if (node.properties !== undefined || node.oneOf.length > 0) return settingsOf(below, `${prefix}${name}.`);
    return [[`${prefix}${name}`, JSON.stringify(node.default) ?? (required.includes(name) ? 'required' : 'none')]];
  });
  return [...own, ...oneOf.flatMap((variant) => settingsOf(variant, prefix))];
}

const text = page('docs/catalog-repository.md');

test('the page has every setting of a preparation with its default, and no other', () => {
  const settings = Object.fromEntries(settingsOf(z.toJSONSchema(Preparation, { io: 'input' })));
  const rows = rowsOf(text, 'Setting').map(([key, fallback = '']) => [
    codeIn(key)[0] ?? '',
    codeIn(fallback)[0] ?? fallback,
  ]);
  expect(Object.keys(settings).length).toBeGreaterThan(15);
  expect(Object.fromEntries(rows)).toEqual(settings);
});

test('the example on the page is one the command accepts', () => {
  const example = /```yaml\n([\s\S]*?)```/.exec(section(text, 'The file'))?.[1] ?? '';
  expect(Preparation.safeParse(parse(example)).error).toBeUndefined();
});

test('the page has every setting of a project that is recommended, with the values that serve as well', () => {
  const rows = rowsOf(text, 'Project setting').map(([name, recommended, accepted]) => [
    codeIn(name)[0],
    codeIn(recommended)[0],
    codeIn(accepted),
  ]);
  const wanted = RECOMMENDED.map(({ name, recommended, accepted }) => [name, String(recommended), accepted]);
  expect(rows).toEqual(wanted);
});

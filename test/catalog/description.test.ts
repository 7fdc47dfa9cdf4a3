import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { changesBetween, composeChanges, edgesOf } from '../../src/catalog/changes.ts';
import { describeChange } from '../../src/catalog/description.ts';
import { blobOf } from '../../src/catalog/fbc.ts';
import { channelDiagram, LONGEST_DIAGRAM } from '../../src/catalog/graph.ts';
import { cell, code } from '../../src/catalog/markdown.ts';
import { type PackageModel, packageModels } from '../../src/catalog/model.ts';

interface Entry {
  name: string;
  replaces?: string;
  skips?: string[];
  skipRange?: string;
}

/** A package as a catalog would give it; the images are made up from the bundles' names. */
function lamp(channels: Record<string, Entry[]>, more: { defaultChannel?: string; name?: string } = {}): PackageModel {
  const name = more.name ?? 'lamp';
  const bundles = [...new Set(Object.values(channels).flatMap((entries) => entries.map((entry) => entry.name)))];
  const [model] = packageModels(
    [
      { schema: 'olm.package', name, defaultChannel: more.defaultChannel ?? 'stable' },
      ...Object.entries(channels).map(([channel, entries]) => ({
        schema: 'olm.channel' as const,
        package: name,
        name: channel,
        entries,
      })),
      ...bundles.map((bundle) => ({
        schema: 'olm.bundle' as const,
        package: name,
        name: bundle,
        image: `example.com/${bundle}`,
        properties: [{ type: 'olm.package', value: { version: bundle.replace(/^.*\.v/, '') } }],
      })),
    ].map(blobOf),
  );
  if (model === undefined) throw new Error('no package');
  return model;
}

const request = (id: number, ...lines: string[]) => ({
  id,
  summary: { subject: `IIB: Add bundles for request ${id}`, body: lines.join('\n') },
});

const old = lamp({
  stable: [{ name: 'lamp.v1.0.0' }, { name: 'lamp.v1.1.0', replaces: 'lamp.v1.0.0' }],
  legacy: [{ name: 'lamp.v1.0.0' }],
});
const now = lamp(
  {
    stable: [
      { name: 'lamp.v1.1.0' },
      { name: 'lamp.v1.2.0', replaces: 'lamp.v1.1.0', skips: ['lamp.v1.0.0'], skipRange: '<1.2.0' },
    ],
    fast: [{ name: 'lamp.v1.2.0' }],
  },
  { defaultChannel: 'fast' },
);

describe('a description', () => {
  test('tells what a change means', () => {
    const text = describeChange({
      requests: [request(7, 'Bundles: example.com/lamp.v1.2.0')],
      packages: changesBetween([old], [now]),
      publicUrl: 'https://indexwright.example.com/',
    });
    expect(text).toMatchInlineSnapshot(`
      "Automated merge request for [request 7](https://indexwright.example.com/api/v1/builds/7): \`IIB: Add bundles for request 7\`

      - \`Bundles: example.com/lamp.v1.2.0\`

      ## Packages

      | Package | Change | Bundles in | Bundles out | Channels changed | Default channel |
      | --- | --- | --- | --- | --- | --- |
      | \`lamp\` | changed | 1 | 1 | \`fast\`, \`legacy\`, \`stable\` | \`stable\` → **\`fast\`** |

      In the diagrams updates go from left to right; green is new, red is gone, a rounded box heads its channel.

      ### \`lamp\`

      | Channel | Change | Head | Bundles |
      | --- | --- | --- | --- |
      | \`fast\` | **new** | – → \`lamp.v1.2.0\` | +1 −0 |
      | \`legacy\` | **removed** | \`lamp.v1.0.0\` → – | +0 −1 |
      | \`stable\` | changed | \`lamp.v1.1.0\` → \`lamp.v1.2.0\` | +1 −1 |

      #### Channel \`fast\`

      \`\`\`mermaid
      graph LR
      n0(["v1.2.0"]):::added
      classDef added stroke:#108548,stroke-width:2px
      \`\`\`

      #### Channel \`stable\`

      \`\`\`mermaid
      graph LR
      n0["v1.0.0"]:::removed
      n1["v1.1.0"]
      n2(["v1.2.0"]):::added
      n1 --> n2
      n0 -->|skips| n2
      n0 -.-> n1
      linkStyle 0 stroke:#108548
      linkStyle 1 stroke:#108548
      linkStyle 2 stroke:#dd2b0e
      classDef added stroke:#108548,stroke-width:2px
      classDef removed stroke:#dd2b0e,stroke-dasharray:4
      \`\`\`

      #### Bundles

      |  | Bundle | Version | Image |
      | --- | --- | --- | --- |
      | new | \`lamp.v1.2.0\` | \`1.2.0\` | \`example.com/lamp.v1.2.0\` |
      | removed | \`lamp.v1.0.0\` | \`1.0.0\` | \`example.com/lamp.v1.0.0\` |
      "
    `);
  });

  test('of a new package shows its bundles and channels', () => {
    const text = describeChange({
      requests: [request(8)],
      packages: changesBetween([], [lamp({ stable: [{ name: 'lamp.v1.0.0' }] })]),
    });
    expect(text).toMatchInlineSnapshot(`
      "Automated merge request for request 8: \`IIB: Add bundles for request 8\`

      ## Packages

      | Package | Change | Bundles in | Bundles out | Channels changed | Default channel |
      | --- | --- | --- | --- | --- | --- |
      | \`lamp\` | **new** | 1 | 0 | \`stable\` | \`stable\` |

      In the diagrams updates go from left to right; green is new, red is gone, a rounded box heads its channel.

      ### \`lamp\`

      | Channel | Change | Head | Bundles |
      | --- | --- | --- | --- |
      | \`stable\` | **new** | – → \`lamp.v1.0.0\` | +1 −0 |

      #### Channel \`stable\`

      \`\`\`mermaid
      graph LR
      n0(["v1.0.0"]):::added
      classDef added stroke:#108548,stroke-width:2px
      \`\`\`

      #### Bundles

      |  | Bundle | Version | Image |
      | --- | --- | --- | --- |
      | new | \`lamp.v1.0.0\` | \`1.0.0\` | \`example.com/lamp.v1.0.0\` |
      "
    `);
  });

  test('of removed, rewritten and unchanged packages stays short', () => {
    const packages = changesBetween([old, lamp({}, { name: 'pilot' })], [lamp({}, { name: 'pilot' })], ['pilot']);
    expect(describeChange({ requests: [request(9), request(10)], packages })).toMatchInlineSnapshot(`
      "Automated merge request for request 9: \`IIB: Add bundles for request 9\`

      Automated merge request for request 10: \`IIB: Add bundles for request 10\`

      ## Packages

      | Package | Change | Bundles in | Bundles out | Channels changed | Default channel |
      | --- | --- | --- | --- | --- | --- |
      | \`lamp\` | **removed** | 0 | 2 | \`legacy\`, \`stable\` | \`stable\` → – |
      | \`pilot\` | content only, same update graph | 0 | 0 | – | \`stable\` |

      ### \`lamp\`

      #### Bundles

      |  | Bundle | Version | Image |
      | --- | --- | --- | --- |
      | removed | \`lamp.v1.0.0\` | \`1.0.0\` | \`example.com/lamp.v1.0.0\` |
      | removed | \`lamp.v1.1.0\` | \`1.1.0\` | \`example.com/lamp.v1.1.0\` |
      "
    `);
    expect(describeChange({ requests: [request(11)], packages: [] })).toMatchInlineSnapshot(`
      "Automated merge request for request 11: \`IIB: Add bundles for request 11\`

      No package of the catalog changes.
      "
    `);
  });

  test('of several requests tells each package once, from its first state to its last', () => {
    const between = lamp({ stable: [{ name: 'lamp.v1.0.0' }, { name: 'lamp.v1.5.0', replaces: 'lamp.v1.0.0' }] });
    const changes = [...changesBetween([old], [between]), ...changesBetween([between], [now])];
    expect(composeChanges(changes)).toEqual(changesBetween([old], [now]));
    expect(composeChanges([...changesBetween([], [now]), ...changesBetween([now], [])])).toEqual([]);
  });

  test('keeps the text of others in code spans', () => {
    const hostile = '@all\n/merge\n`x` | [click](https://evil.example.com) <b>!1 #2';
    const text = describeChange({
      requests: [{ id: 1, summary: { subject: hostile, body: `Bundles: ${hostile}` } }],
      packages: changesBetween([], [lamp({ [hostile]: [{ name: hostile }] }, { defaultChannel: hostile })]),
    });
    const outside = withoutCode(text);
    expect(outside).not.toMatch(/[@<]|evil|!1|#2|^\//m);
    expect(text).not.toMatch(/^\//m);
  });

  test('of a large change stays readable by GitLab', () => {
    const many = Array.from({ length: 400 }, (_, at) => ({
      name: `lamp.v1.${at}.0`,
      ...(at === 0 ? {} : { replaces: `lamp.v1.${at - 1}.0` }),
    }));
    const channels = Object.fromEntries(
      Array.from({ length: 80 }, (_, at) => [`channel-${at}`, [{ name: 'lamp.v1.0.0' }]]),
    );
    const text = describeChange({
      requests: [request(1)],
      packages: changesBetween([], [lamp({ ...channels, stable: many })]),
    });
    expect(text.length).toBeLessThan(210_000);
    const diagrams = text.match(/```mermaid[\s\S]*?```/g) ?? [];
    expect(diagrams).toHaveLength(50);
    expect(text).toContain('… and 300 more.');
    expect(text).toContain('| new | `lamp.v1.0.0` | ← replaces | `lamp.v1.1.0` |');
  });
});

describe('changes', () => {
  const model = fc
    .uniqueArray(fc.integer({ min: 0, max: 8 }), { minLength: 1 })
    .chain((versions) =>
      fc.tuple(
        fc.constant(versions),
        fc.array(fc.tuple(fc.integer({ min: 0, max: 8 }), fc.boolean()), {
          minLength: versions.length,
          maxLength: versions.length,
        }),
      ),
    )
    .map(([versions, edges]) =>
      lamp({
        stable: versions.map((version, at) => {
          const [from, skip] = edges[at] ?? [0, false];
          return { name: `lamp.v${version}`, ...(skip ? { skips: [`lamp.v${from}`] } : { replaces: `lamp.v${from}` }) };
        }),
      }),
    );
  const nothingOr = fc.option(model, { nil: undefined });

  test('from a state to itself there are none, and there and back they mirror', () => {
    fc.assert(
      fc.property(nothingOr, nothingOr, (before, after) => {
        const list = (state: PackageModel | undefined) => (state === undefined ? [] : [state]);
        expect(changesBetween(list(before), list(before))).toEqual([]);
        const [there] = changesBetween(list(before), list(after));
        const [back] = changesBetween(list(after), list(before));
        expect(back?.bundles.added).toEqual(there?.bundles.removed);
        for (const channel of there?.channels ?? []) {
          const mirrored = back?.channels.find(({ name }) => name === channel.name);
          expect(mirrored?.edges.added).toEqual(channel.edges.removed);
          expect(mirrored?.added).toEqual(channel.removed);
        }
      }),
    );
  });

  test('are drawn within the limit, every changed bundle named, every edge between drawn nodes', () => {
    fc.assert(
      fc.property(nothingOr, model, (before, after) => {
        for (const change of changesBetween(before === undefined ? [] : [before], [after])) {
          for (const channel of change.channels) {
            const diagram = channelDiagram(change, channel);
            if (diagram === undefined) continue;
            expect(diagram.length).toBeLessThanOrEqual(LONGEST_DIAGRAM);
            for (const name of [...channel.added, ...channel.removed]) {
              expect(diagram).toContain(`"${name.replace('lamp.', '')}"`);
            }
            const nodes = new Set([...diagram.matchAll(/^(n\d+)[([]/gm)].map(([, id]) => id));
            const edges = [...diagram.matchAll(/^(n\d+) -\.?->(?:\|skips\|)? (n\d+)$/gm)];
            expect(edges.length).toBeGreaterThanOrEqual(channel.edges.added.length + channel.edges.removed.length);
            for (const [, from, to] of edges) expect([nodes.has(from), nodes.has(to)]).toEqual([true, true]);
          }
        }
      }),
    );
  });

  test('heads are what nothing replaces or skips', () => {
    expect(now.channels.get('stable')?.heads).toEqual(['lamp.v1.2.0']);
    expect(edgesOf(now.channels.get('stable'))).toHaveLength(2);
  });

  test('a diagram that would be too long is not drawn', () => {
    const long = lamp({
      stable: Array.from({ length: 60 }, (_, at) => ({
        name: `lamp.v${at}`,
        ...(at ? { replaces: `lamp.v${at - 1}` } : {}),
      })),
    });
    const [change] = changesBetween([], [long]);
    if (change?.channels[0] === undefined) throw new Error('no change');
    expect(channelDiagram(change, change.channels[0])).toBeUndefined();
    expect(channelDiagram(change, change.channels[0], 10_000)).toBeDefined();
  });
});

describe('code spans', () => {
  test('hold any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('`', 'a', '\n', ' ', '|', '\\') }), (text) => {
        const span = code(text);
        const fence = /^`+/.exec(span)?.[0] ?? '';
        const inside = span.slice(fence.length, -fence.length);
        expect(span.endsWith(fence)).toBe(true);
        expect(span).not.toContain('\n');
        expect(inside.match(/`+/g) ?? []).not.toContain(fence);
      }),
    );
    expect(cell('a\\|b')).toBe('`a\\¦b`');
  });
});

/** The text without diagrams and code spans: what GitLab would act on. */
function withoutCode(text: string): string {
  return text.replace(/```mermaid[\s\S]*?```/g, '').replace(/(?<!`)(`+)(?!`)[\s\S]*?(?<!`)\1(?!`)/g, '');
}

import { describe, expect, test } from 'vitest';
import type { ChannelHead, IndexedBundle } from '../../src/catalog/index-db.ts';
import { indexMetadata, metadataText } from '../../src/catalog/metadata.ts';
import { deprecationMatches, latestToDeprecate, presenceOf } from '../../src/catalog/presence.ts';
import { deprecationChunks } from '../../src/catalog/whole-database.ts';

const hash = (digit: string) => `@sha256:${digit.repeat(64)}`;
const bundle = (name: string, version: string, image: string): IndexedBundle => ({
  package: name,
  name: `${name}.v${version}`,
  version,
  image,
  channels: ['stable'],
});

test('a bundle is present by its path or by its digest under any name', () => {
  const indexed = [{ image: `a.example.com/x${hash('1')}` }, { image: 'a.example.com/x:tag' }];
  const asked = [`a.example.com/x${hash('1')}`, `b.example.com/y${hash('1')}`, `a.example.com/x${hash('2')}`];
  expect(presenceOf([...asked, 'a.example.com/x:tag'], indexed)).toEqual({
    present: asked.slice(0, 2),
    missing: [asked[2], 'a.example.com/x:tag'],
  });
});

test('of a deprecation list only what the index has counts, once', () => {
  const [a, b] = [`x${hash('1')}`, `x${hash('2')}`];
  expect(deprecationMatches([b, a, b, `x${hash('3')}`], [{ image: a }, { image: b }])).toEqual([b, a]);
});

describe('reducing to the latest', () => {
  const indexed = [
    bundle('p', '1.9.0', 'z'),
    bundle('p', '1.10.0', 'y'),
    bundle('p', '1.10.0', 'x'),
    bundle('q', 'odd', 'w'),
    bundle('q', '0.0.1', 'v'),
  ];
  const head = (name: string, channel: string, image: string): ChannelHead => ({
    package: name,
    channel,
    image,
    isDefault: channel === 'stable',
  });

  test('keeps the highest version of each package, the later of equal ones, sorted by path', () => {
    expect(latestToDeprecate(['z', 'y', 'x', 'w', 'v', 'z'], indexed, [])).toEqual(['v', 'x']);
    expect(latestToDeprecate(['z'], [...indexed, ...indexed], [])).toEqual(['z']);
  });

  test('keeps all heads of a package that is to go as a whole', () => {
    const heads = [head('p', 'stable', 'x'), head('p', 'old', 'z'), head('q', 'stable', 'u')];
    expect(latestToDeprecate(['z', 'x', 'y', 'v'], indexed, heads)).toEqual(['v', 'x', 'z']);
    expect(latestToDeprecate(['z', 'y'], indexed, heads)).toEqual(['y']);
  });

  test('names what the index does not have', () => {
    expect(() => latestToDeprecate(['z', 'no2', 'no1'], indexed, [])).toThrow(
      "Failed to retrieve bundles by semver, missing bundle images: ['no1', 'no2']",
    );
  });
});

test('deprecations are cut into calls without cutting packages where they fit', () => {
  const packageOf = new Map(['a1', 'a2', 'b1', 'b2', 'c1', 'c2', 'c3'].map((image) => [image, image.slice(0, 1)]));
  expect(deprecationChunks(['a1', 'b1', 'a2', 'b2'], packageOf, 3)).toEqual([
    ['a1', 'a2'],
    ['b1', 'b2'],
  ]);
  expect(deprecationChunks(['a1', 'c1', 'c2', 'c3', 'b1'], packageOf, 2)).toEqual([['a1'], ['c1', 'c2'], ['c3', 'b1']]);
});

test('build metadata', () => {
  const metadata = indexMetadata({
    requestId: 12,
    opm: { name: 'opm-v1.48.0' },
    ocpVersion: 'v4.19',
    scope: 'stage',
    binaryImage: 'scratch',
    arches: ['s390x', 'amd64'],
    labels: { extra: 'yes', 'com.redhat.index.delivery.version': 'v4.20' },
  });
  expect(metadataText(metadata)).toMatchInlineSnapshot(`
    "{
      "opm_version": "opm-v1.48.0",
      "labels": {
        "com.redhat.index.delivery.version": "v4.20",
        "com.redhat.index.delivery.distribution_scope": "stage",
        "extra": "yes"
      },
      "binary_image": "scratch",
      "request_id": 12,
      "arches": [
        "amd64",
        "s390x"
      ]
    }
    "
  `);
});

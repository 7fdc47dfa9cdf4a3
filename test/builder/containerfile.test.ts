import { expect, test } from 'vitest';
import { parseContainerfile } from '../../src/builder/containerfile.ts';

const CATALOG = `# the catalog
ARG BINARY_IMAGE=registry.example.com/openshift4/ose-operator-registry-rhel9:v4.19
FROM \${BINARY_IMAGE}
ENTRYPOINT ["/bin/opm"]
CMD ["serve", "/configs", "--cache-dir=/tmp/cache"]
COPY configs /configs
COPY --chown=1001:0 cache /tmp/cache
LABEL operators.operatorframework.io.index.configs.v1=/configs
`;
const FROM = 'FROM registry.example.com/base:1\nCOPY configs /configs\n';

test('a catalog Dockerfile is read', () => {
  expect(parseContainerfile(CATALOG, {})).toEqual({
    base: 'registry.example.com/openshift4/ose-operator-registry-rhel9:v4.19',
    entrypoint: ['/bin/opm'],
    cmd: ['serve', '/configs', '--cache-dir=/tmp/cache'],
    labels: { 'operators.operatorframework.io.index.configs.v1': '/configs' },
    copies: [
      { source: 'configs', target: '/configs', uid: 0, gid: 0, text: 'COPY configs /configs' },
      { source: 'cache', target: '/tmp/cache', uid: 1001, gid: 0, text: 'COPY --chown=1001:0 cache /tmp/cache' },
    ],
  });
});

test('the build argument wins over the default', () => {
  expect(parseContainerfile(CATALOG, { BINARY_IMAGE: 'localhost:5000/base@sha256:1' }).base).toBe(
    'localhost:5000/base@sha256:1',
  );
});

test('other ways to write the same', () => {
  const file = parseContainerfile(
    'arg BINARY_IMAGE\nfrom --platform=linux/amd64 $BINARY_IMAGE\nADD ["./configs/", "/configs/"]\n' +
      'LABEL a=1 \\\n  # in between\n  "b c"="x \\"y\\" z" \\\n  d=\'e f\'\n',
    { BINARY_IMAGE: 'scratch' },
  );
  expect(file).toMatchObject({ base: 'scratch', entrypoint: undefined, cmd: undefined });
  expect(file.labels).toEqual({ a: '1', 'b c': 'x "y" z', d: 'e f' });
  expect(file.copies[0]).toMatchObject({ source: 'configs', target: '/configs' });
});

test.each([
  ['', 'The Dockerfile has no FROM'],
  ['COPY configs /configs', 'Dockerfile line 1: COPY stands before FROM'],
  ['FROM a.b/c\nFROM a.b/d', 'Dockerfile line 2: a second FROM is not supported'],
  ['ARG X\nFROM $X', 'Dockerfile line 2: X has no value: the build metadata gives none and ARG has no default'],
  ['FROM a.b/c', 'The Dockerfile does not copy configs into the image ("COPY configs /configs")'],
  [`${FROM}CMD serve`, 'Dockerfile line 3: CMD must be a JSON array of strings'],
  [`${FROM}ENTRYPOINT ["a", 1]`, 'Dockerfile line 3: ENTRYPOINT must be a JSON array of strings'],
  [`${FROM}LABEL a`, 'Dockerfile line 3: LABEL must be written as key=value'],
  [`${FROM}COPY index.db /database`, 'Dockerfile line 3: only configs and cache can be copied, not "index.db"'],
  [`${FROM}COPY ../configs /x`, 'Dockerfile line 3: only configs and cache can be copied, not "../configs"'],
  [`${FROM}COPY configs here`, 'Dockerfile line 3: a copy has one source and one absolute target'],
  [`${FROM}COPY --from=x cache /c`, 'Dockerfile line 3: --from=x is not supported; --chown=<uid>:<gid> is'],
  [
    `${FROM}USER 1001`,
    "Dockerfile line 3: USER is not supported; a catalog's Dockerfile has ARG, FROM, ENTRYPOINT, CMD, LABEL, COPY and ADD",
  ],
  [
    `${FROM}RUN ["/bin/opm", "serve", "/configs", "--cache-dir=/tmp/cache", "--cache-only"]`,
    'Dockerfile line 3: RUN is not supported: the image is assembled for all architectures without running anything ' +
      'in it; the cache is made beforehand and belongs in by "COPY --chown=1001:0 cache /tmp/cache"',
  ],
])('refused: %s', (text, message) => {
  expect(() => parseContainerfile(text, {})).toThrow(expect.objectContaining({ code: 'request_invalid', message }));
});

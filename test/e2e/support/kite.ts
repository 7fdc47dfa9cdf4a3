import { parse } from 'yaml';
import { z } from 'zod';

/** The operator of the tests of regenerate-bundle: its bundle, and what organizations make of it. */
export const PACKAGE = 'operators.operatorframework.io.bundle.package.v1';

/** The eight customizations, with parameters where they have some. */
export function customizations(host: string) {
  return {
    pin: { type: 'resolve_image_pullspecs' },
    related: { type: 'related_bundles' },
    bundles: { type: 'perform_bundle_replacements' },
    suffix: { type: 'package_name_suffix', suffix: '-cmp' },
    registry: { type: 'registry_replacements', replacements: { [host]: `${host}/cm` } },
    names: { type: 'image_name_from_labels', template: '{name}-{version}-final' },
    annotations: {
      type: 'csv_annotations',
      annotations: {
        'marketplace.company.io/remote-workflow': 'https://marketplace.company.com/operators/{package_name}/pricing',
        containerTool: 'set: "by" us',
      },
    },
    enclose: { type: 'enclose_repo', enclosure_glue: '----', namespace: 'company-pending' },
  };
}

export function organizations(host: string) {
  const { pin, related, bundles, suffix, registry: moved, names, annotations, enclose } = customizations(host);
  const alone = Object.entries(customizations(host)).map(([name, one]) => [`only-${name}`, [one]]);
  return {
    ...Object.fromEntries(alone),
    first: [pin, related, suffix, moved, bundles, names, annotations, enclose],
    second: [pin, annotations, suffix, moved, names, enclose, related, bundles],
    third: [enclose, annotations, names, bundles, moved, suffix, related, pin],
    'company-marketplace': [pin, annotations, suffix, moved, names, enclose],
    'company-managed': [pin, suffix, moved, annotations],
  };
}

/** A CSV in the manner of a person: comments, all quotes, a folded text, nothing sorted. */
export const csv = (host: string) => `# The kite operator.
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata:
  name: kite.v1.0.0
  annotations:
    containerImage: "${host}/kites/operator:v1"   # what is run
    containerTool: 'none yet'
    alm-examples: '[{"kind": "Kite", "spec": {"image": "${host}/kites/agent:v2"}}]'
spec:
  version: 1.0.0
  description: >-
    Flies kites. See ${host}/kites/operator:v1
    for the image.
  install:
    strategy: deployment
    spec:
      deployments:
        - name: kite
          spec:
            template:
              spec:
                containers:
                  - image: ${host}/kites/operator:v1
                    name: manager
                    args: ["--agent", "${host}/kites/agent:v2"]
                    env:
                      - {name: RELATED_IMAGE_STRING_BUNDLE, value: "${host}/strings/string:v1"}
  maintainers: []   # nobody
`;
export const CRD =
  'apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata:\n    name:   kites.example.com\n';
export const ANNOTATIONS = `# kept\nannotations:\n  ${PACKAGE}: kite   # the package\n  operators.operatorframework.io.bundle.manifests.v1: manifests/\n`;

export type Names = { operator: string; agent: string; string: string };
export const REPOS: Names = { operator: 'kites/operator', agent: 'kites/agent', string: 'strings/string' };
export const prefixed = (prefix: string, repos: Names): Names => ({
  operator: `${prefix}${repos.operator}`,
  agent: `${prefix}${repos.agent}`,
  string: `${prefix}${repos.string}`,
});
export const FINAL: Names = {
  operator: 'kites/operator-1-final',
  agent: 'kites/agent-2-final',
  string: 'strings/string-1-final',
};
export const ENCLOSED: Names = {
  operator: 'company-pending/kites----operator-1-final',
  agent: 'company-pending/kites----agent-2-final',
  string: 'company-pending/strings----string-1-final',
};

export const annotated = (text: string, name: string) =>
  text
    .replace("containerTool: 'none yet'", `containerTool: 'set: "by" us'`)
    .replace(
      /( {4}alm-examples: .*\n)/,
      `$1    marketplace.company.io/remote-workflow: https://marketplace.company.com/operators/${name}/pricing\n`,
    );
/** Every image the CSV names, where the names given by customizations are too long to write down again and again. */
export const imagesIn = (text: string) =>
  z
    .object({ spec: z.object({ relatedImages: z.array(z.object({ name: z.string(), image: z.string() })) }) })
    .parse(parse(text))
    .spec.relatedImages.map(({ image }) => image);

/** The CSV as it must be, to the byte, when the images have new names: in all their places, and as related images. */
export function withImages(text: string, old: Names, now: Names): string {
  const replaced = text
    .replace(`See ${old.operator}`, 'See THE OPERATOR')
    .replaceAll(`"image": "${old.agent}"`, '"image": "THE AGENT"')
    .replaceAll(old.operator, now.operator)
    .replaceAll(old.agent, now.agent)
    .replaceAll(old.string, now.string)
    .replaceAll('THE AGENT', now.agent)
    // Prose is no pull spec: the whole of a text must be one, outside of annotations.
    .replace('THE OPERATOR', old.operator);
  const named = (image: string) =>
    `${image
      .split('/')
      .slice(2)
      .join('/')
      .replace(/@sha256:|:/, '-')}-annotation`;
  return `${replaced}  relatedImages:
  - name: ${named(now.operator)}
    image: ${now.operator}
  - name: manager
    image: ${now.operator}
  - name: string_bundle
    image: ${now.string}
  - name: ${named(now.agent)}
    image: ${now.agent}
`;
}

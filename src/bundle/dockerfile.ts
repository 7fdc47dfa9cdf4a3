import { Failure } from '../errors/failure.ts';

/**
 * The Dockerfile of a regenerated bundle (request-handling.md §11.1, step 7), one LABEL instruction for each label.
 *
 * @param of.from the bundle it was made from, by digest
 * @throws Failure `bundle_unsupported` for a label that no Dockerfile can hold
 */
export function bundleDockerfile(of: { from: string; labels: Readonly<Record<string, string>> }): string {
  const labels = Object.entries(of.labels).map(([name, value]) => `LABEL ${quoted(name)}=${quoted(value)}`);
  return `${[`FROM ${of.from}`, 'COPY ./manifests /manifests', 'COPY ./metadata /metadata', ...labels].join('\n')}\n`;
}

function quoted(text: string): string {
  if (/\p{Cc}/u.test(text)) {
    throw new Failure('bundle_unsupported', `The label ${JSON.stringify(text)} has characters that no label may have`);
  }
  return `"${text.replace(/["\\$]/g, '\\$&')}"`;
}

import { allCatalogs } from '../config/catalogs.ts';
import type { Config, RegistryConfig } from '../config/schema.ts';
import { Failure } from '../errors/failure.ts';
import { artifactTagFor } from './artifact.ts';
import { isTag, nameOf, parsePullSpec, printPullSpec } from './pull-spec.ts';

/**
 * The pull spec of what a request makes, under its number or under a build tag (request-handling.md §7).
 *
 * @throws Failure `pull_spec_invalid`
 */
export function outputNamed({ pushTemplate, output }: RegistryConfig, id: string | number): string {
  const spec = pushTemplate.replaceAll('{registry}', output).replaceAll('{request_id}', () => String(id));
  return printPullSpec(parsePullSpec(spec));
}

/**
 * The pull specs that build tags stand for. A tag that a client chose must never move what the service itself writes.
 *
 * @throws Failure `build_tag_refused` for what is no tag, for a number, and for a tag of a configured index or of one of
 *   its artifacts
 */
export function outputsTagged(config: Pick<Config, 'registry' | 'catalogs' | 'catalogsDir'>, tags: readonly string[]) {
  if (tags.length === 0) return [];
  const wrong = tags.find((tag) => !isTag(tag));
  if (wrong !== undefined) {
    throw refused(
      `"${wrong}" is not a tag: one has letters, digits, "_", "." and "-", at most 128, and begins with none of the last two.`,
    );
  }
  // A request's own output is tagged by its number, and so will be those of requests to come.
  const number = tags.find((tag) => /^\d+$/.test(tag));
  if (number !== undefined)
    throw refused(`"${number}" is a number, and numbers are the tags of requests' own results.`);
  const names = ownNames(config);
  return tags.map((tag) => {
    const spec = outputNamed(config.registry, tag);
    if (names.some((isOwn) => isOwn(spec)))
      throw refused(`"${tag}" is a tag of a configured index or of its index.db.`);
    return spec;
  });
}

function refused(reason: string): Failure {
  return new Failure('build_tag_refused', `The "build_tags" value ${reason} Choose another tag.`);
}

/** Tests for what the service writes for its indexes, whatever their tags. */
function ownNames({ registry, ...config }: Pick<Config, 'registry' | 'catalogs' | 'catalogsDir'>) {
  return allCatalogs(config as Config).flatMap(({ index }) => {
    const shared = artifactTagFor(registry, `${index}:${ANY_TAG}`);
    const empty = artifactTagFor(registry, `${index}:${ANY_TAG}`, 'empty');
    const [before = '', after = ''] = shared.split(ANY_TAG);
    return [
      (spec: string) => nameOf(spec) === index,
      (spec: string) => spec.startsWith(before) && spec.replace(/-\d+$/, '').endsWith(after),
      (spec: string) => spec === empty,
    ];
  });
}

/** Stands for the tag of an index in the name of its artifact. */
const ANY_TAG = 'any.tag.of.an.index';

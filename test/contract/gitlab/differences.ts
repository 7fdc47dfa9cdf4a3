import { type Answer, type Recording, typesOf } from './recording.ts';

/**
 * Where the second GitLab answers otherwise than the first, a sentence each: statuses and texts of refusals by scenario,
 * fields and their types by call. Refusals that passed by themselves are not compared: they are a matter of time.
 *
 * @param second what the sentences call the second one
 */
export function differences(first: Recording, other: Recording, second: string): string[] {
  const both = first.scenarios.flatMap((scenario) => {
    const twin = other.scenarios.find(({ name }) => name === scenario.name);
    return twin && scenario.outcome === 'passed' && twin.outcome === 'passed' ? [{ scenario, twin }] : [];
  });
  const refusals = both.flatMap(({ scenario, twin }) => {
    const [here, there] = [refusalsOf(scenario.answers), refusalsOf(twin.answers)];
    const name = `${scenario.name}: `;
    return [
      ...[...here.difference(there)].map((refusal) => `${name}${second} does not answer ${refusal}`),
      ...[...there.difference(here)].map((refusal) => `${name}${second} alone answers ${refusal}`),
    ];
  });
  const bodies = (which: 'scenario' | 'twin') =>
    new Map([
      ...grouped(
        both.flatMap((pair) =>
          pair[which].answers
            .filter(({ status }) => status < 300)
            .map(({ call, body }): [string, unknown] => [call, body]),
        ),
      ),
      ...grouped(both.flatMap((pair) => pair[which].hooks.map(({ event, body }): [string, unknown] => [event, body]))),
    ]);
  return [...refusals, ...fieldDifferences(bodies('scenario'), bodies('twin'), second)];
}

const grouped = (pairs: [string, unknown][]) =>
  [...Map.groupBy(pairs, ([call]) => call)].map(([call, all]) => [call, typesOf(all.map(([, body]) => body))] as const);

type Types = Map<string, Map<string, Set<string>>>;

function fieldDifferences(here: Types, there: Types, second: string): string[] {
  return [...here].flatMap(([call, fields]) => {
    const others = there.get(call);
    if (others === undefined) return [`${call}: ${second} was not asked`];
    const plain = (names: string[]) => names.map((name) => name.replace(/^\[\](\[\])?\.?/, '')).join(', ');
    const lacks = [...fields.keys()].filter((field) => !others.has(field) && !below(field, fields, others));
    const more = [...others.keys()].filter((field) => !fields.has(field) && !below(field, others, fields));
    const types = [...fields].flatMap(([field, types]) => {
      const theirs = others.get(field);
      const [one, two] = [valuesOf(types), valuesOf(theirs ?? new Set())];
      // A null alone says nothing of the type.
      return one.size === 0 || two.size === 0 || one.isSubsetOf(two) || two.isSubsetOf(one)
        ? []
        : [`${call}: ${plain([field])} is ${[...one].join(' or ')}, and ${[...two].join(' or ')} of ${second}`];
    });
    return [
      ...(lacks.length > 0 ? [`${call}: ${second} lacks ${plain(lacks)}`] : []),
      ...(more.length > 0 ? [`${call}: ${second} alone has ${plain(more)}`] : []),
      ...types,
    ];
  });
}

const valuesOf = (types: Set<string>) => types.difference(new Set(['null']));

/** Whether the field is part of another that is told already, or that is empty with the other GitLab. */
function below(field: string, mine: Map<string, Set<string>>, others: Map<string, Set<string>>): boolean {
  const parent = field.replace(/(\[\])*\.[^.]+$/, '');
  if (parent === field || parent === '[]' || parent === '[][]' || !mine.has(parent)) return false;
  const types = others.get(parent);
  return types === undefined || valuesOf(types).size === 0 || types.has('list');
}

function refusalsOf(answers: readonly Answer[]): Set<string> {
  const refused = answers.filter(({ status, waited }) => status >= 400 && !waited);
  return new Set(refused.map(({ call, status, body }) => `${status} ${textOf(body)} to ${call}`));
}

/** What a refusal says, without what differs from run to run. */
const textOf = (body: unknown) =>
  (JSON.stringify(body) ?? '')
    .replace(/[0-9a-f]{40}/g, ':sha')
    .replace(/![0-9]+/g, '!:n')
    .replace(/\b\d{2,}\b(?! )/g, ':n');

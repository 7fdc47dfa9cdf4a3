import { loadPreparation } from '../onboarding/preparation.ts';
import { prepareRepository } from '../onboarding/prepare.ts';

/** `indexwright catalog prepare`: what is there now goes to stderr, the project's URL to stdout. */
export async function prepareCatalogCommand(file: string, settings: 'check' | 'set'): Promise<void> {
  const url = await prepareRepository(loadPreparation(file), (line) => process.stderr.write(`${line}\n`), settings);
  process.stdout.write(`${url}\n`);
}

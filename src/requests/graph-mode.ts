import { forbid, isFalsy, refuse } from './checks.ts';
import { pythonList } from './python-list.ts';
import type { Caller } from './type.ts';

/**
 * G(mode, image) of rest-api.md §2.2, with the image compared as D33 asks.
 *
 * @param wrongType the message when the image is neither a string nor null (D14)
 * @returns the mode; null when it is falsy
 */
export function checkGraphMode(mode: unknown, image: unknown, wrongType: string, caller: Caller): string | null {
  if (isFalsy(mode)) return null;
  if (typeof mode !== 'string' || !caller.graphModeOptions.includes(mode)) {
    refuse(`"graph_update_mode" must be set to one of these: ${pythonList(caller.graphModeOptions)}`);
  }
  const allowed = caller.graphModeIndexAllowList;
  const name = image ?? null;
  if (name !== null && typeof name !== 'string') refuse(wrongType);
  if (name === null || (!allowed.includes(name) && !allowed.includes(nameOf(name)))) {
    forbid(`"graph_update_mode" can only be used on the following index image: ${pythonList(allowed)}`);
  }
  return mode;
}

/** A pull spec without its tag or digest; the payload is not checked yet, so it may be no pull spec at all. */
function nameOf(image: string): string {
  return image.replace(/@.*$/s, '').replace(/:[^/:]*$/, '');
}

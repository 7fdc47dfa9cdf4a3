/** Values in a document, keys included, and how deep they are nested; manifests and configs have some hundreds. */
const MOST_VALUES = 50_000;
const DEEPEST = 100;

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);
const SEPARATING = new Set([0x2c, 0x3a]);

/**
 * Reads JSON that a stranger wrote. How long `JSON.parse` and a schema take depends on the number of values and not of
 * bytes: four mebibytes of brackets hold the event loop for half a second. So values are counted first.
 *
 * @throws SyntaxError when it is no JSON, or has more than 50,000 values or a nesting deeper than 100
 */
export function parseJsonDocument(bytes: Buffer): unknown {
  let values = 0;
  let depth = 0;
  let inString = false;
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] as number;
    if (inString) {
      if (byte === BACKSLASH) at += 1;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) {
      inString = true;
    } else if (OPENING.has(byte)) {
      values += 1;
      depth += 1;
      if (depth > DEEPEST) throw new SyntaxError(`nested deeper than ${DEEPEST}`);
    } else if (CLOSING.has(byte)) {
      depth -= 1;
    } else if (SEPARATING.has(byte)) {
      values += 1;
    }
    if (values > MOST_VALUES) throw new SyntaxError(`more than ${MOST_VALUES} values`);
  }
  return JSON.parse(bytes.toString('utf8'));
}

/** A list of strings as Python prints it: clients compare messages literally (request-handling.md, notation). */
export function pythonList(items: readonly string[]): string {
  const quoted = items.map((item) => {
    const quote = item.includes("'") && !item.includes('"') ? '"' : "'";
    return quote + item.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`) + quote;
  });
  return `[${quoted.join(', ')}]`;
}

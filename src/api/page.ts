import type { OpenApi } from './openapi.ts';
import type { Operation } from './operations.ts';
import type { JsonSchema } from './schemas.ts';

const STYLE = `
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
nav { columns: 2; font-size: .9rem; }
h2 { font-size: 1rem; border-top: 1px solid #ddd; padding-top: 1rem; margin-top: 2rem; }
h2 span { display: inline-block; min-width: 4rem; color: #0a5; }
dl { display: grid; grid-template-columns: minmax(4rem, max-content) 1fr; gap: 0 1rem; margin: 0; }
dd { margin: 0; }
summary { cursor: pointer; }
pre { background: #f6f6f6; padding: .5rem 1rem; overflow: auto; font-size: .8rem; }
@media (prefers-color-scheme: dark) { body { background: #181818; color: #ddd; } pre { background: #222; } a { color: #8cf; } }
`;

/** The documentation page: readable without scripts and without the network. */
export function documentationPage({ info, paths, components }: OpenApi): string {
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const links = operations.map(
    ({ path, method }) =>
      `<a href="#${anchor(method, path)}">${method.toUpperCase()} ${escapeHtml(path.replace('/api/v1', ''))}</a><br>`,
  );
  const schemas = Object.entries(components.schemas).map(([name, schema]) => schemaSection(name, schema));
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(info.title)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>${escapeHtml(info.title)}</h1>
<p>${escapeHtml(info.description)} The same as a file: <a href="/static/api_v1.yaml">OpenAPI description</a>.</p>
<nav>${links.join('\n')}</nav>
${operations.map(({ path, method, operation }) => section(path, method, operation)).join('\n')}
<h1>Schemas</h1>
${schemas.join('\n')}
</body>
</html>
`;
}

function section(path: string, method: string, operation: Operation): string {
  const { summary, responses, parameters = [], requestBody } = operation;
  const asked = parameters.map(
    ({ name, description, schema }) =>
      `<dt><code>${escapeHtml(name)}</code></dt><dd>${escapeHtml(description ?? String(schema.type ?? ''))}</dd>`,
  );
  const answers = Object.entries(responses).map(([status, { description, content }]) => {
    const shown = Object.values(content ?? {}).map(({ schema }) => schemaLink(schema));
    return `<dt>${status}</dt><dd>${escapeHtml(description)} ${shown.join(' ')}</dd>`;
  });
  const body = Object.values(requestBody?.content ?? {}).map(({ schema }) => `<p>Body: ${schemaLink(schema)}</p>`);
  return `<section id="${anchor(method, path)}">
<h2><span>${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code></h2>
<p>${escapeHtml(summary)}.</p>
${asked.length > 0 ? `<h4>Parameters</h4><dl>${asked.join('\n')}</dl>` : ''}${body.join('')}
<h4>Answers</h4><dl>${answers.join('\n')}</dl>
</section>`;
}

function schemaSection(name: string, schema: JsonSchema): string {
  return `<details id="schema-${name}"><summary><code>${name}</code></summary>
<pre>${escapeHtml(JSON.stringify(schema, null, 2))}</pre></details>`;
}

function schemaLink({ $ref, description }: JsonSchema): string {
  if (typeof $ref !== 'string') return escapeHtml(String(description ?? ''));
  const name = $ref.replace(/.*\//, '');
  return `<a href="#schema-${name}"><code>${name}</code></a>`;
}

const anchor = (method: string, path: string) => `${method}-${path.replace(/[^a-z]+/g, '-')}`;

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

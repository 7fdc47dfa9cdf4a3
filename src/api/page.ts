import type { OpenApi } from './openapi.ts';

/** The documentation page: readable without scripts and without the network. */
export function documentationPage({ info, paths }: OpenApi): string {
  const sections = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { summary, responses, parameters }]) => {
      const answers = Object.entries(responses).map(
        ([status, { description }]) => `<dt>${status}</dt><dd>${escapeHtml(description)}</dd>`,
      );
      const names = (parameters ?? []).map(({ name }) => `<code>${escapeHtml(name)}</code>`).join(', ');
      return `<section>
<h2><span>${method.toUpperCase()}</span> <code>${escapeHtml(path)}</code></h2>
<p>${escapeHtml(summary)}</p>${names ? `\n<p>Parameters: ${names}</p>` : ''}
<dl>${answers.join('')}</dl>
</section>`;
    }),
  );
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(info.title)}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h2 { font-size: 1rem; border-top: 1px solid #ddd; padding-top: 1rem; }
h2 span { display: inline-block; min-width: 4rem; color: #0a5; }
dl { display: grid; grid-template-columns: 4rem 1fr; margin: 0; }
dd { margin: 0; }
</style>
</head>
<body>
<h1>${escapeHtml(info.title)}</h1>
<p>${escapeHtml(info.description)} The same as a file: <a href="/static/api_v1.yaml">OpenAPI description</a>.</p>
${sections.join('\n')}
</body>
</html>
`;
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

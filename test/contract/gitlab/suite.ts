import pLimit from 'p-limit';
import { type Exchange, startGitLabRelay } from '../../support/gitlab-relay.ts';
import { cleaned, type Recording, type Replacements, recorded } from './recording.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { inProject, receiveHooks, restOf, Skip, type Target } from './scene.ts';

interface Hook {
  event: string;
  body: Record<string, unknown>;
}

/** Scenarios that are tried at once; most of their time is waiting for GitLab's background jobs. */
const AT_ONCE = 4;

/**
 * Tries the scenarios on a GitLab, each in a project that is removed afterwards, and records what it answers.
 *
 * @param only those whose names match
 * @param report told the outcome of each scenario, a line each
 * @throws Error when the GitLab cannot be spoken to with the token
 */
export async function tryGitLab(
  target: Target,
  { only = /./, report = () => {} }: { only?: RegExp; report?: (line: string) => void } = {},
): Promise<Recording> {
  const gitlab = await versionOf(target);
  const secrets = await replacements(target);
  const atOnce = pLimit(AT_ONCE);
  const tried = SCENARIOS.filter(({ name }) => only.test(name)).map((scenario) =>
    atOnce(async () => {
      const { outcome, ...seen } = await trySafely(target, scenario, secrets);
      report(`- ${scenario.name}: ${outcome}`);
      return { name: scenario.name, outcome, ...seen };
    }),
  );
  return { gitlab, scenarios: await Promise.all(tried) };
}

/** One scenario, whose answers pass a relay of its own. */
async function trySafely(target: Target, { settings = {}, run, hooks: needsHooks }: Scenario, hidden: Replacements) {
  const exchanges: Exchange[] = [];
  const hooks: Hook[] = [];
  const relay = await startGitLabRelay(target.url, (exchange) => {
    if (/^\/projects\/[^?]/.test(exchange.path)) exchanges.push(exchange);
  });
  const secrets = new Map([[relay.url, 'https://gitlab.example.com'], ...hidden]);
  try {
    const outcome = await outcomeOf(async () => {
      if (needsHooks && !target.hookUrl) throw new Skip('GITLAB_HOOK_URL names no address that GitLab reaches');
      const stop =
        needsHooks && (await receiveHooks(target, (event, body) => hooks.push({ event, body: body as Hook['body'] })));
      try {
        await inProject({ ...target, url: relay.url }, settings, async (scene) => {
          if (needsHooks) await addHook(scene.project, target);
          await run(scene, hooks);
        });
      } finally {
        if (stop) await stop();
      }
    });
    return {
      outcome: String(cleaned(outcome, secrets)),
      answers: recorded(exchanges, secrets),
      hooks: hooks.map(({ event, body }) => ({ event: named(event, body), body: cleaned(body, secrets) })),
    };
  } finally {
    await relay.close();
  }
}

const named = (event: string, { object_attributes: attributes }: Hook['body']) =>
  [event, (attributes as { action?: string } | undefined)?.action].filter(Boolean).join(' ');

async function outcomeOf(work: () => Promise<void>): Promise<string> {
  try {
    await work();
    return 'passed';
  } catch (thrown) {
    const said = thrown instanceof Error ? thrown.message.trim().split('\n')[0] : String(thrown);
    return thrown instanceof Skip ? `skipped: ${said}` : `failed: ${said}`;
  }
}

async function versionOf(target: Target): Promise<Recording['gitlab']> {
  const { status, body } = await restOf(target)('GET', '/version');
  if (status !== 200) throw new Error(`GitLab answers ${status} to GET /version: look at the URL and the token`);
  const metadata = await restOf(target)('GET', '/metadata');
  return { version: String(body.version), enterprise: metadata.body?.enterprise === true };
}

/** What must not stand in a recording: the token, the addresses, the user, the group. */
async function replacements(target: Target): Promise<Replacements> {
  const { body: me } = await restOf(target)('GET', '/user');
  return new Map([
    [target.token, '*****'],
    [Buffer.from(`oauth2:${target.token}`).toString('base64'), '*****'],
    [target.url, 'https://gitlab.example.com'],
    [new URL(target.url).host, 'gitlab.example.com'],
    [new URL(target.url).hostname, 'gitlab.example.com'],
    ...(target.hookUrl ? [[target.hookUrl, 'https://hooks.example.com'] as const] : []),
    ...(target.group ? [[target.group, 'group'] as const] : []),
    ...(me?.username ? [[me.username, 'someone'] as const] : []),
    ...(me?.name ? [[me.name, 'Someone'] as const] : []),
  ]);
}

type Project = Parameters<Parameters<typeof inProject>[2]>[0]['project'];

async function addHook(project: Project, { hookUrl: url }: Target): Promise<void> {
  const events = { push_events: true, merge_requests_events: true, note_events: true };
  const { status, body } = await project('POST', '/hooks', { url, ...events });
  if (status !== 201) throw new Skip(`GitLab takes no hook to this address (${status} ${JSON.stringify(body)})`);
}

import { fetch } from 'undici';
import { z } from 'zod';
import { type Gate, queueOf } from '../../config/queues.ts';
import type { Config } from '../../config/schema.ts';
import { Failure } from '../../errors/failure.ts';
import { patiently } from '../../errors/retry.ts';
import { mask } from '../../telemetry/secrets.ts';
import type { Reading } from '../work.ts';
import type { ResolvedBundle } from './bundles.ts';

/** Milliseconds for one decision. */
const TIMEOUT = 30_000;
/** The labels that name the build a bundle came from. */
const BUILD_LABELS = ['com.redhat.component', 'version', 'release'] as const;

const Decision = z.looseObject({
  policies_satisfied: z.boolean(),
  unsatisfied_requirements: z.array(z.looseObject({ testcase: z.string().nullish() })).default([]),
});

/**
 * Asks Greenwave whether the bundles of a request may be released, if the request's queue is gated
 * (request-handling.md §10.1.1).
 *
 * @throws Failure `gating_refused` naming the bundles and their unsatisfied test cases, `gating_unavailable`,
 *   `configuration_invalid` when the queue is gated and no Greenwave is configured
 */
export async function assertGatingPassed(
  bundles: readonly ResolvedBundle[],
  {
    config,
    log,
    signal,
    user,
    overwrites,
    index,
  }: Reading & { user: string | null; overwrites: boolean; index: string | null },
): Promise<void> {
  const queue = queueOf(config.userToQueue, { user, overwrites, index });
  const gate = config.gates.find((candidate) => candidate.queue === queue);
  if (gate === undefined) {
    if (config.gates.length > 0) log.warn({ queue }, 'bundles of this queue are not gated');
    return;
  }
  if (config.greenwaveUrl === undefined) {
    throw new Failure('configuration_invalid', 'IIB is not configured to handle gating of bundles');
  }
  const url = `${config.greenwaveUrl.replace(/\/+$/, '')}/decision`;
  const refused: string[] = [];
  const testcases = new Set<string>();
  for (const { resolved, labels } of bundles) {
    const body = { ...question(gate), subject_identifier: buildOf(resolved, labels) };
    const decision = await patiently(patience(config), signal, () => ask(url, body, resolved, signal));
    if (decision.policies_satisfied) continue;
    refused.push(resolved);
    for (const { testcase } of decision.unsatisfied_requirements) if (testcase) testcases.add(testcase);
  }
  if (refused.length === 0) return;
  throw new Failure(
    'gating_refused',
    `Unsatisfied Greenwave policy for ${refused.join(', ')} with decision_context: ${gate.decisionContext}, ` +
      `product_version: ${gate.productVersion}, subject_type: ${gate.subjectType} ` +
      `and test cases: ${[...testcases].join(', ')}`,
  );
}

const patience = ({ deadlines }: Config) => ({ total: deadlines.patience, first: 250, longest: 15_000 });

function question({ decisionContext, productVersion, subjectType }: Gate) {
  return { decision_context: decisionContext, product_version: productVersion, subject_type: subjectType };
}

function buildOf(bundle: string, labels: ResolvedBundle['labels']): string {
  return BUILD_LABELS.map((name) => {
    const value = labels[name];
    if (value) return value;
    throw new Failure(
      'bundle_label_missing',
      `The bundle ${bundle} has no label ${name}, which gating by Greenwave needs`,
    );
  }).join('-');
}

async function ask(url: string, body: object, bundle: string, signal: AbortSignal): Promise<z.infer<typeof Decision>> {
  const failed = `Gating check failed for ${bundle}`;
  const answer = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT)]),
  }).catch((cause: unknown) => {
    signal.throwIfAborted();
    const reason = cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : String(cause);
    throw new Failure('gating_unavailable', `${failed}: ${reason}`, { cause });
  });
  const text = await answer.text();
  const json = parsed(text);
  if (!answer.ok) {
    const message = z.looseObject({ message: z.string() }).safeParse(json);
    const reason = mask(message.success ? message.data.message : text).slice(0, 2000);
    throw new Failure(answer.status >= 500 ? 'gating_unavailable' : 'gating_refused', `${failed}: ${reason}`);
  }
  const decision = Decision.safeParse(json);
  if (decision.success) return decision.data;
  throw new Failure('gating_refused', `Key "policies_satisfied" missing in Greenwave response for ${bundle}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

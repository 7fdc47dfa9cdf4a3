import { z } from 'zod';
import { Failure } from '../errors/failure.ts';
import { parseJsonDocument } from './json-document.ts';
import type { Answer, Call } from './transport.ts';

const Errors = z.object({
  errors: z.array(z.looseObject({ code: z.string(), message: z.string().optional() })).min(1),
});
/** Bytes, as containers/image has it. */
const LONGEST_EXPLANATION = 1024 * 1024;
/** Bytes of it that are logged. */
const SHOWN = 4096;

/**
 * What to throw for an answer that is none of those a call knows: Failure `registry_refused` with the registry's codes,
 * `registry_unavailable` for a manifest whose blobs it does not know.
 */
export async function refusal(call: Call, answer: Answer): Promise<Failure> {
  const body = await answer.body.bytes(LONGEST_EXPLANATION, 'registry_refused');
  const codes = codesOf(body);
  const said = codes.slice(0, 5).join(', ') || `status ${answer.statusCode}`;
  const verb = { GET: 'read', HEAD: 'read', POST: 'write', PUT: 'write', DELETE: 'delete' }[call.method];
  // Blobs are there before their manifest is sent. The CNCF's registry writes a blob's link anew when somebody else
  // uploads the same one, and knows none for that moment.
  const code = codes.includes('MANIFEST_BLOB_UNKNOWN') ? 'registry_unavailable' : 'registry_refused';
  return new Failure(code, `The registry ${call.registry} refused to ${verb} ${call.subject} (${said})`, {
    cause: body.subarray(0, SHOWN).toString('utf8'),
  });
}

/** What to throw for an image that is not there (request-handling.md §3.1). */
export function notFound(spec: string): Failure {
  return new Failure(
    'image_not_found',
    `Failed to inspect docker://${spec}. Make sure it exists and is accessible to IIB.`,
  );
}

function codesOf(body: Buffer): string[] {
  try {
    return Errors.parse(parseJsonDocument(body)).errors.map(({ code }) => code.slice(0, 80));
  } catch {
    // Not every proxy in front of a registry speaks its error format.
    return [];
  }
}

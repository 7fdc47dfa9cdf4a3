import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { z } from 'zod';

const Question = z.object({
  decision_context: z.string(),
  product_version: z.string(),
  subject_type: z.string(),
  subject_identifier: z.string(),
});

export interface Greenwave {
  /** What the service is configured with. */
  url: string;
  /** Questions asked so far. */
  asked: readonly z.infer<typeof Question>[];
  /** From now on these test cases are missing for a build. */
  lack(build: string, testcases: string[]): void;
  /** The next answers have this status and text. */
  failNext(status: number, text: string, times?: number): void;
  close(): Promise<void>;
}

/** An imitation of Greenwave's decision call: it knows which test cases builds lack, and nothing else. */
export async function startGreenwave({ port = 0 }: { port?: number } = {}): Promise<Greenwave> {
  const asked: z.infer<typeof Question>[] = [];
  const lacking = new Map<string, string[]>();
  const failures: { status: number; text: string }[] = [];
  const decide = (body: string): { status: number; text: string } => {
    const question = Question.safeParse(JSON.parse(body));
    if (!question.success) return { status: 400, text: '{"message":"Missing required decision context"}' };
    asked.push(question.data);
    const failure = failures.shift();
    if (failure !== undefined) return failure;
    const testcases = lacking.get(question.data.subject_identifier) ?? [];
    const requirement = { type: 'test-result-missing', subject_type: question.data.subject_type };
    const answer = {
      policies_satisfied: testcases.length === 0,
      summary: testcases.length === 0 ? 'All required tests passed' : `${testcases.length} required tests missing`,
      applicable_policies: ['catalog'],
      unsatisfied_requirements: testcases.map((testcase) => ({ ...requirement, testcase })),
    };
    return { status: 200, text: JSON.stringify(answer) };
  };

  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const known = request.method === 'POST' && request.url === '/api/v1.0/decision';
    const { status, text } = known
      ? decide(Buffer.concat(chunks).toString())
      : { status: 404, text: '{"message":"The requested URL was not found on the server."}' };
    response.writeHead(status, { 'content-type': 'application/json' }).end(text);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v1.0`,
    asked,
    lack: (build, testcases) => void lacking.set(build, testcases),
    failNext: (status, text, times = 1) =>
      void failures.push(...Array.from({ length: times }, () => ({ status, text }))),
    close: async () => {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    },
  };
}

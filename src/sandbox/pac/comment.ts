/** A comment that tells Pipelines-as-Code to do something (konflux-and-gitlab.md §1.6). */
export interface Command {
  act: 'test' | 'retest' | 'cancel' | 'ok-to-test';
  /** One template; undefined means all. */
  template: string | undefined;
  /** Annotation `event-type` of runs it starts. */
  eventType: string;
}

/** Finds the first line of a comment that is a command. */
export function readCommand(note: string): Command | undefined {
  const match = /^\s*\/(test|retest|cancel|ok-to-test)(?:[ \t]+([^\s=]+))?(?:[ \t]+.*)?\s*$/m.exec(note);
  if (!match) return undefined;
  const act = match[1] as Command['act'];
  if (act === 'ok-to-test') return { act, template: undefined, eventType: 'ok-to-test-comment' };
  const template = match[2];
  return { act, template, eventType: template === undefined ? `${act}-all-comment` : `${act}-comment` };
}

/** A message as the wire has it (rest-api.md §9). */
export interface Message {
  /** Which of the configured destinations it goes to. */
  to: Destination;
  /** JSON text. */
  body: string;
  /** Application properties; numbers are integers. */
  properties: Readonly<Record<string, string | number | null>>;
}

/** Where messages go: one destination for states of requests, one for those of batches. */
export type Destination = 'build' | 'batch';

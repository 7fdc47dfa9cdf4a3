import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import rhea, { type EventContext, type Message } from 'rhea';

/** A message as it came, its body parsed. */
export interface Received {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of both kinds
  body: any;
  properties: Record<string, unknown>;
  raw: Message;
}

export interface Consumer {
  /** All messages so far. */
  received: Received[];
  /** Resolves once `enough` holds of what has come. */
  until(enough: (received: Received[]) => boolean): Promise<void>;
  close(): Promise<void>;
}

/** Takes the messages of an address (`/queue/name`), durable as ours are; waits for a broker that is still starting. */
export async function consume(url: string, address: string): Promise<Consumer> {
  for (let tries = 1; ; tries++) {
    try {
      return await attach(url, address);
    } catch (thrown) {
      // RabbitMQ listens shortly before it lets sessions begin.
      if (tries === 100) throw thrown;
      await setTimeout(100);
    }
  }
}

async function attach(url: string, address: string): Promise<Consumer> {
  const { hostname, port } = new URL(url);
  const received: Received[] = [];
  const container = rhea.create_container();
  let look = () => {};
  container.on('message', ({ message }: EventContext) => {
    if (message === undefined) return;
    received.push({
      body: JSON.parse(message.body),
      properties: { ...message.application_properties },
      raw: message,
    });
    look();
  });
  const connection = container.connect({
    host: hostname,
    port: Number(port),
    username: 'guest',
    password: 'guest',
    reconnect: false,
  });
  const ready = Promise.withResolvers<void>();
  container.once('receiver_open', () => ready.resolve());
  for (const event of ['disconnected', 'connection_error', 'session_error', 'receiver_error']) {
    container.on(event, ({ error, session, receiver }: EventContext) => {
      const said = error ?? session?.error ?? receiver?.error;
      ready.reject(new Error(`${event}: ${(said as { description?: string } | undefined)?.description}`));
    });
  }
  const receiver = connection.open_receiver({ source: { address, durable: 2 } });
  try {
    await ready.promise;
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
  return {
    received,
    until: (enough) =>
      new Promise((resolve) => {
        look = () => enough(received) && resolve();
        look();
      }),
    async close() {
      // What was taken must be known to be taken, else it comes once more.
      const detached = once(receiver, 'receiver_close');
      receiver.close();
      await detached;
      const closed = once(connection, 'connection_close');
      connection.close();
      await closed;
    },
  };
}

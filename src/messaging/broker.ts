import { randomUUID } from 'node:crypto';
import rhea, { type Connection, type Delivery, type EventContext, type Sender } from 'rhea';
import type { MessagingConfig } from '../config/schema.ts';
import { readSecretFile } from '../config/secret-file.ts';
import { describe, Failure } from '../errors/failure.ts';
import type { Log } from '../telemetry/log.ts';
import type { Destination, Message } from './message.ts';
import { tlsOptions } from './tls.ts';

/** Milliseconds a broker has to answer our goodbye. */
const PARTING = 1000;

/** A way to the brokers of the configuration. */
export interface Broker {
  /**
   * Sends one message and waits until the broker has accepted it. Connects if necessary, to the first broker that can
   * be had. Messages that are sent one after the other arrive in that order.
   *
   * @throws Failure `broker_unavailable`, `broker_denied` (who we are), `broker_refused` (what we send, or where to);
   *   the broker may have the message all the same
   */
  send(message: Message): Promise<void>;
  /** Ends the connection, if there is one; a message under way fails. */
  close(): void;
}

/** A broker to be; nothing is connected before the first message. */
export function createBroker(config: MessagingConfig, log: Log): Broker {
  let line: Line | null = null;
  let closed = false;
  return {
    async send(message) {
      if (line === null || line.isLost()) {
        line = await openFirst(config, log);
        if (closed) line.close();
        log.info({ broker: line.name }, 'connected to the message broker');
      }
      try {
        await line.send(message);
      } catch (thrown) {
        // Whatever is wrong with the line, the next message gets a new one.
        line.close();
        throw thrown;
      }
    },
    close() {
      closed = true;
      line?.close();
    },
  };
}

/** One connection with a sender for each destination. */
interface Line {
  /** Scheme, host and port. */
  name: string;
  isLost(): boolean;
  send(message: Message): Promise<void>;
  close(): void;
}

async function openFirst(config: MessagingConfig, log: Log): Promise<Line> {
  const failures: Failure[] = [];
  for (const url of config.urls) {
    try {
      return await openLine(new URL(url), config, log);
    } catch (thrown) {
      failures.push(asBrokerFailure(thrown));
    }
  }
  const [first] = failures;
  if (first !== undefined && failures.length === 1) throw first;
  const sentence = `No message broker can be reached: ${failures.map(({ message }) => message).join('; ')}`;
  throw new Failure('broker_unavailable', sentence, { cause: first });
}

async function openLine(url: URL, config: MessagingConfig, log: Log): Promise<Line> {
  const secure = url.protocol === 'amqps:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  const port = Number(url.port) || (secure ? 5671 : 5672);
  const name = `${secure ? 'amqps' : 'amqp'}://${url.hostname}:${port}`;
  const { user, passwordFile } = config;
  const password = passwordFile && readSecretFile(passwordFile, "the message broker's password");
  const connection = rhea.create_container().connect({
    host,
    port,
    // The announcer decides when to try again, and where.
    reconnect: false,
    // Two lost heartbeats tell of a broker that vanished.
    idle_time_out: config.timeout,
    ...(user === undefined ? {} : { username: user, ...(password ? { password } : {}) }),
    ...(secure ? tlsOptions(host, config, log) : {}),
  } as Parameters<ReturnType<typeof rhea.create_container>['connect']>[0]);
  const lost = lossOf(connection, name);
  const within = <T>(what: string, work: Promise<T>) =>
    noLonger(config.timeout, what, Promise.race([work, lost.promise]));
  const close = () => {
    lost.because(new Failure('broker_unavailable', `The connection to ${name} was closed`));
    connection.close();
    // A broker that does not answer must not hold the socket.
    setTimeout(() => connection.socket?.destroy(), PARTING).unref();
  };
  try {
    await within(`${name} does not answer`, happens(connection, 'connection_open'));
  } catch (thrown) {
    close();
    throw thrown;
  }
  const senders = new Map<Destination, Sender>();
  return {
    name,
    isLost: lost.has,
    close,
    async send({ to, body, properties }) {
      const address = (to === 'build' ? config.buildDestination : config.batchDestination) ?? '';
      const sender = senders.get(to) ?? openSender(connection, address, config);
      senders.set(to, sender);
      if (!sender.sendable()) await within(`${name} takes no messages for ${address}`, happens(sender, 'sendable'));
      const delivery = sender.send({
        durable: config.durable,
        content_type: 'application/json',
        correlation_id: randomUUID(),
        application_properties: Object.fromEntries(
          Object.entries(properties).map(([key, value]) => [
            key,
            typeof value === 'number' ? rhea.types.wrap_long(value) : value,
          ]),
        ),
        body,
      });
      await within(`${name} does not accept a message for ${address}`, acceptance(sender, delivery, address));
    },
  };
}

function openSender(connection: Connection, address: string, { durable }: MessagingConfig): Sender {
  // 2 = the broker keeps the queue: RabbitMQ refuses links whose durability is not that of the queue.
  return connection.open_sender({ target: { address, durable: durable ? 2 : 0 } });
}

/** Ends with the first thing that makes the connection useless. Every event is listened for: rhea throws unheard ones. */
function lossOf(connection: Connection, name: string) {
  let failure: Failure | null = null;
  const { promise, reject } = Promise.withResolvers<never>();
  // Nobody may be waiting when it is lost.
  promise.catch(() => {});
  const because = (why: Failure) => {
    failure ??= why;
    reject(failure);
  };
  const told = ({ error, connection: { error: closing } }: EventContext, otherwise: string) =>
    because(failureOf(error ?? closing, name, otherwise));
  for (const event of ['connection_error', 'connection_close', 'disconnected', 'protocol_error', 'error']) {
    connection.on(event, (context: EventContext | Error) =>
      context instanceof Error
        ? because(failureOf(context, name, 'error'))
        : told(context, `the connection was ended (${event})`),
    );
  }
  for (const event of ['session_error', 'session_close']) {
    connection.on(event, ({ session }: EventContext) => because(failureOf(session?.error, name, 'session ended')));
  }
  for (const event of ['sender_error', 'sender_close']) {
    connection.on(event, ({ sender }: EventContext) => because(failureOf(sender?.error, name, 'link ended')));
  }
  return { promise, because, has: () => failure !== null };
}

/** Our failure for what a broker, TLS or the network says. */
function failureOf(error: unknown, name: string, otherwise: string): Failure {
  const { code = '', condition = '' } = (error ?? {}) as { code?: string; condition?: string };
  const said = error instanceof Error ? describe(error) : descriptionOf(error);
  const cause = { cause: error };
  if (/ALERT|^ERR_SSL/.test(code)) {
    return new Failure(
      'broker_denied',
      `The broker ${name} refused the TLS handshake, most likely the client certificate: ${said}`,
      cause,
    );
  }
  if (/CERT|SELF_SIGNED|ALTNAME|UNABLE_TO/.test(code)) {
    return new Failure('broker_denied', `The certificate of the broker ${name} is not trusted: ${code} ${said}`, cause);
  }
  if (condition === 'amqp:unauthorized-access') {
    return new Failure('broker_denied', `The broker ${name} refused us: ${said}`, cause);
  }
  if (condition !== '' && condition !== 'amqp:connection:forced') {
    return new Failure('broker_refused', `The broker ${name} refused: ${condition} ${said}`, cause);
  }
  return new Failure('broker_unavailable', `The broker ${name} cannot be reached: ${said || otherwise}`, cause);
}

function descriptionOf(error: unknown): string {
  const { description } = (error ?? {}) as { description?: unknown };
  return typeof description === 'string' ? description : '';
}

/** Resolves when the broker accepts the delivery. */
function acceptance(sender: Sender, delivery: Delivery, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const outcomes = ['accepted', 'rejected', 'released', 'modified'] as const;
    const listeners = outcomes.map((outcome) => {
      const heard = (context: EventContext) => {
        if (context.delivery !== delivery) return;
        for (const [name, listener] of listeners) sender.removeListener(name, listener);
        if (outcome === 'accepted') return resolve();
        const said = descriptionOf((delivery.remote_state as { error?: unknown } | undefined)?.error);
        reject(new Failure('broker_refused', `The broker ${outcome} a message for ${address}: ${said}`));
      };
      sender.on(outcome, heard);
      return [outcome, heard] as const;
    });
  });
}

function happens(source: Connection | Sender, event: string): Promise<void> {
  return new Promise((resolve) => source.once(event, () => resolve()));
}

async function noLonger<T>(milliseconds: number, what: string, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const late = new Failure('broker_unavailable', `${what} within ${milliseconds / 1000} s`);
  const timer = setTimeout(reject, milliseconds, late);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

const asBrokerFailure = (thrown: unknown): Failure =>
  thrown instanceof Failure ? thrown : new Failure('broker_unavailable', describe(thrown), { cause: thrown });

import { lookup as lookUp } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { type Dispatcher, EnvHttpProxyAgent } from 'undici';
import { addressIn, permitsAddress, type Reach } from './addresses.ts';

/** A host is at no address that the connection may be made to. */
export class AddressRefused extends Error {
  readonly hostname: string;

  constructor(hostname: string, addresses: readonly string[]) {
    super(`${hostname} is at ${addresses.join(', ')}`);
    this.hostname = hostname;
  }
}

const CONNECT_TIMEOUT = 10_000;

/**
 * One pool of connections for each reach, shared by all clients: credentials belong to calls, not to connections. Where a
 * proxy of the environment makes the connection, it resolves the name, and the proxy's rules hold instead of ours.
 */
const pools: Record<Reach, Dispatcher> = {
  public: poolFor('public'),
  private: poolFor('private'),
  any: poolFor('any'),
};

/**
 * The pool whose connections lead to permitted addresses only. Names are resolved and judged at each connect, so that a
 * name that changes its address between check and use gains nothing.
 *
 * @throws AddressRefused when the URL holds an address that is not permitted
 */
export function connectionsTo(url: URL, reach: Reach): Dispatcher {
  const address = addressIn(url.hostname);
  if (address !== undefined && !permitsAddress(reach, address)) throw new AddressRefused(url.hostname, [address]);
  return pools[reach];
}

/** What a request may have besides undici's options. */
export interface Begun {
  /** Called when the request is written to its connection, for which it may have waited. */
  begun: () => void;
}

function poolFor(reach: Reach): Dispatcher {
  const pool = new EnvHttpProxyAgent({
    // The limit of reads in flight for each host.
    connections: 64,
    keepAliveTimeout: 30_000,
    // The limits of time and size are tested for HTTP/1.1 alone.
    connect: { timeout: CONNECT_TIMEOUT, allowH2: false, lookup: permittedLookup(reach) },
    // As Go programs do it, so that skopeo and we reach the same registries.
    noProxy: [process.env.NO_PROXY ?? process.env.no_proxy, 'localhost,127.0.0.1,::1'].filter(Boolean).join(','),
  });
  return pool.compose((dispatch) => (options: Dispatcher.DispatchOptions & Partial<Begun>, handler) => {
    const start = handler.onRequestStart?.bind(handler);
    handler.onRequestStart = (controller, context) => {
      options.begun?.();
      start?.(controller, context);
    };
    return dispatch(options, handler);
  });
}

/** `dns.lookup` that leaves out addresses beyond the reach; fails with {@link AddressRefused} when none is left. */
export function permittedLookup(reach: Reach, resolve: typeof lookUp = lookUp): LookupFunction {
  return (hostname, options, done) => {
    resolve(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return done(error, '');
      const permitted = found.filter(({ address }) => permitsAddress(reach, address));
      const [first] = permitted;
      if (first === undefined) {
        return done(
          new AddressRefused(
            hostname,
            found.map(({ address }) => address),
          ),
          '',
        );
      }
      if (options.all) done(null, permitted);
      else done(null, first.address, first.family);
    });
  };
}

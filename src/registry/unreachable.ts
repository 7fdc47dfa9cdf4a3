import { errors } from 'undici';
import { Failure } from '../errors/failure.ts';
import { AddressRefused } from './connections.ts';

interface About {
  registry: string;
  subject: string;
}

/** Codes of OpenSSL and Node for certificates that are not trusted, not for this host, or not valid now. */
const CERTIFICATE =
  /CERT|^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED)/;
/** What else a TLS handshake breaks off with that another try does not mend. */
const NO_TLS =
  /^ERR_SSL_(WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|UNSUPPORTED_PROTOCOL|TLSV1_ALERT_PROTOCOL_VERSION|HTTP_REQUEST|NO_PROTOCOLS_AVAILABLE)|^EPROTO$/;
/** What is no HTTP, or what no HTTP request can hold. */
const NO_HTTP = /^UND_ERR_(HEADERS_OVERFLOW|INVALID_ARG|NOT_SUPPORTED|RES_EXCEEDED_MAX_SIZE)$/;

/**
 * What a network error of a call means: Failure `registry_address_refused`, `registry_tls_failed`,
 * `registry_answer_invalid`, which another try does not mend, or `registry_unavailable`, each with the registry and the
 * error's code.
 */
export function networkFailure({ registry, subject }: About, cause: unknown): Failure {
  if (cause instanceof Failure) return cause;
  if (cause instanceof AddressRefused) {
    return new Failure(
      'registry_address_refused',
      `${subject} cannot be read: ${cause.hostname} is at an address that is not public. If that is meant, name ${cause.hostname} in registry.privateHosts.`,
      { cause },
    );
  }
  const code = codeOf(cause);
  const said = code === undefined ? '' : ` (${code})`;
  if (CERTIFICATE.test(code ?? '')) {
    return new Failure(
      'registry_tls_failed',
      `The certificate of the registry ${registry} is not accepted${said}. If it should be, name its authority in NODE_EXTRA_CA_CERTS and SSL_CERT_FILE.`,
      { cause },
    );
  }
  if (NO_TLS.test(code ?? '')) {
    return new Failure(
      'registry_tls_failed',
      `The registry ${registry} does not speak TLS as it should${said}. If it is meant to speak plain HTTP, name it in registry.insecure.`,
      { cause },
    );
  }
  if (NO_HTTP.test(code ?? '') || isParserError(cause) || cause instanceof TypeError) {
    // Not the error itself, which holds what the registry sent.
    const { message } = cause as Error;
    return new Failure('registry_answer_invalid', `The registry ${registry} does not speak HTTP as it should${said}`, {
      cause: message,
    });
  }
  if (/^Z_(?!BUF_ERROR)/.test(code ?? '')) {
    return new Failure('registry_answer_invalid', `The registry ${registry} sent damaged gzip for ${subject}${said}`, {
      cause,
    });
  }
  return new Failure('registry_unavailable', `The registry ${registry} cannot be reached${said}`, { cause });
}

/** Of an error or of the first of several, as there are when a host has several addresses. */
function codeOf(cause: unknown): string | undefined {
  if (cause instanceof AggregateError && !('code' in cause)) return codeOf(cause.errors[0]);
  return cause instanceof Error && 'code' in cause && cause.code !== undefined ? String(cause.code) : undefined;
}

/** Of what is no HTTP; what breaks off may be whole the next time. */
function isParserError(cause: unknown): boolean {
  return cause instanceof errors.HTTPParserError && !cause.message.includes('EOF');
}

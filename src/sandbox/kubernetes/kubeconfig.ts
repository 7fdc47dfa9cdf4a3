import { stringify } from 'yaml';

/** A file for kubectl and client libraries: one cluster, one user, and the namespace meant where none is named. */
export function kubeconfigOf({
  server,
  ca,
  token,
  namespace,
}: {
  server: string;
  /** PEM */
  ca: string;
  token: string;
  namespace?: string;
}): string {
  const context = { cluster: 'sandbox', user: 'admin', ...(namespace === undefined ? {} : { namespace }) };
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'sandbox', cluster: { server, 'certificate-authority-data': Buffer.from(ca).toString('base64') } },
    ],
    users: [{ name: 'admin', user: { token } }],
    contexts: [{ name: 'sandbox', context }],
    'current-context': 'sandbox',
  });
}

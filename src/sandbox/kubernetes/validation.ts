import type { Metadata, Resource } from './object.ts';
import { invalid } from './refusal.ts';

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;
const NAME_RULE =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY_NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const KEY_RULE =
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/** Names and label values as a real server checks them: badly cleaned labels must be noticed. @throws Refusal 422 */
export function validateMetadata(resource: Resource, metadata: Metadata): void {
  const { name, labels = {} } = metadata;
  if (!NAME.test(name)) throw invalid(resource, name, 'metadata.name', name, NAME_RULE);
  if (name.length > 253) throw invalid(resource, name, 'metadata.name', name, 'must be no more than 253 characters');
  for (const [key, value] of Object.entries(labels)) {
    if (!KEY_NAME.test(key.split('/').at(-1) ?? '')) throw invalid(resource, name, 'metadata.labels', key, KEY_RULE);
    if (typeof value !== 'string') throw invalid(resource, name, 'metadata.labels', String(value), 'must be a string');
    if (value.length > 63) throw invalid(resource, name, 'metadata.labels', value, 'must be no more than 63 bytes');
    if (!LABEL.test(value)) throw invalid(resource, name, 'metadata.labels', value, LABEL_RULE);
  }
}

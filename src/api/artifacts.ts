import type { Context } from 'hono';
import { findPayload, findRequest, type StoredRequest } from '../db/requests.ts';
import type { RequestTypeName } from '../db/schema.ts';
import { AddDeprecationsPayload } from '../requests/add-deprecations/payload.ts';
import { requestTypeNamed } from '../requests/all.ts';
import { expirationOf } from '../requests/answer.ts';
import { type Artifact, artifactPath, readArtifact } from '../storage/directories.ts';
import { bytes, fail, notFound } from './answers.ts';
import { idIn } from './builds.ts';
import type { Service } from './service.ts';

/** Which requests have the artifact and what it is on the wire. */
const KINDS: Readonly<Record<Artifact, { type: RequestTypeName | null; contentType: string }>> = {
  logs: { type: null, contentType: 'text/plain; charset=utf-8' },
  related_bundles: { type: 'regenerate-bundle', contentType: 'application/json' },
  nested_bundles: { type: 'recursive-related-bundles', contentType: 'application/json' },
};

/** `GET /builds/{id}/logs` and its kin: the stored bytes, with the checks of rest-api.md §1.1 in their order. */
export function getArtifact(service: Service, artifact: Artifact) {
  const { storage } = service.config;
  const { type, contentType } = KINDS[artifact];
  return async (c: Context): Promise<Response> => {
    const id = idIn(c);
    // Nested bundles are always promised by the views, so a missing directory counts as a missing file.
    if (artifact !== 'nested_bundles' && artifactPath(storage, artifact, id) === null) notFound();
    const request = (await service.database.read((db) => findRequest(db, id))) ?? notFound();
    if (type !== null) checkType(request, type);
    if (request.state === 'in_progress') {
      fail(400, `The request ${id} is not complete yet. ${artifact} will be available once the request is complete.`);
    }
    const content = await readArtifact(storage, artifact, id);
    if (content !== null) return bytes(content, contentType);
    if (hasExpired(request, storage.daysToLive)) {
      fail(410, `The ${artifact} for the build request ${id} no longer exist`);
    }
    return fail(500, missing(request, artifact));
  };
}

/** `GET /builds/{id}/deprecation-schema`: exactly the submitted text, in any state. */
export function getDeprecationSchema({ database }: Service) {
  return async (c: Context): Promise<Response> => {
    const request = (await database.read((db) => findPayload(db, idIn(c)))) ?? notFound();
    checkType(request, 'add-deprecations');
    const { deprecation_schema } = AddDeprecationsPayload.parse(request.payload);
    return bytes(new TextEncoder().encode(deprecation_schema), 'application/json');
  };
}

function checkType({ id, type }: Pick<StoredRequest, 'id' | 'type'>, wanted: RequestTypeName): void {
  if (type === wanted) return;
  fail(400, `The request ${id} is of type ${type}. This endpoint is only valid for requests of type ${wanted}.`);
}

function hasExpired({ updated }: StoredRequest, daysToLive: number): boolean {
  return Date.parse(expirationOf(updated, daysToLive)) < Date.now();
}

function missing(request: StoredRequest, artifact: Artifact): string {
  const organization = requestTypeNamed(request.type).organization(request.payload);
  if (artifact !== 'related_bundles' || organization === null) {
    return `IIB is done processing the request and could not find ${artifact}.`;
  }
  return (
    'IIB is done processing the request and cannot find related_bundles. Please make sure the ' +
    `iib_organization_customizations for organization ${organization} has related_bundles customization type set`
  );
}

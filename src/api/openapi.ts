import { type Operation, operations } from './operations.ts';
import { type JsonSchema, jsonSchemas } from './schemas.ts';

export interface OpenApi {
  openapi: string;
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonSchema>; securitySchemes: Record<string, JsonSchema> };
}

/** The API as an OpenAPI 3.1 description, made from the schemas the service works with. */
export function openApi(): OpenApi {
  const paths: OpenApi['paths'] = {};
  for (const { method, path, ...operation } of operations()) paths[path] = { ...paths[path], [method]: operation };
  return {
    openapi: '3.1.0',
    info: {
      title: 'IIB API Documentation',
      version: 'v1',
      description: 'Builds and changes operator index images.',
    },
    paths,
    components: {
      schemas: jsonSchemas(),
      securitySchemes: {
        negotiate: { type: 'http', scheme: 'negotiate', description: 'Kerberos, at the proxy in front of the service' },
        bearer: { type: 'http', scheme: 'bearer', description: 'An OIDC token, or a static token of this service' },
      },
    },
  };
}

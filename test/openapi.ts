// What a service documents about itself at /openapi.json, as far as tests need it.
import type { TestHttp } from '@app/testing';

export interface Schema {
  type?: string;
  format?: string;
  enum?: unknown[];
  example?: unknown;
  examples?: unknown[];
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: boolean;
  items?: Schema;
  minLength?: number;
  maxLength?: number;
  minItems?: number;
  maxItems?: number;
  minimum?: number;
  maximum?: number;
  $ref?: string;
  [keyword: string]: unknown;
}

export interface Parameter {
  name: string;
  in: 'path' | 'query' | 'header';
  required?: boolean;
  example?: unknown;
  schema?: Schema;
}

export interface Operation {
  method: string;
  /** With parameters in braces. */
  path: string;
  parameters: Parameter[];
  /** Of the body; `undefined`: it has none. */
  body?: Schema;
  bodyRequired: boolean;
  /** Statuses that are documented. */
  statuses: number[];
}

interface Document {
  paths: Record<string, Record<string, RawOperation>>;
  components?: { schemas?: Record<string, Schema> };
}

interface RawOperation {
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema }> };
  responses: Record<string, unknown>;
}

/** The operations of the shop itself, not those for operators. References are resolved. */
export async function operationsOf(http: TestHttp): Promise<Operation[]> {
  const { paths, components } = (await http('GET', '/openapi.json')).body as Document;
  const resolved = (schema: Schema): Schema => {
    if (schema.$ref) return resolved(components!.schemas![schema.$ref.split('/').at(-1)!]!);
    const { properties, items } = schema;
    return {
      ...schema,
      ...(properties && {
        properties: Object.fromEntries(Object.entries(properties).map(([name, of]) => [name, resolved(of)])),
      }),
      ...(items && { items: resolved(items) }),
    };
  };
  const ofShop = Object.entries(paths).filter(([path]) => !/^\/(ops|health|metrics)\b/.test(path));
  return ofShop.flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { parameters = [], requestBody, responses }]) => {
      const body = requestBody?.content['application/json']?.schema;
      return {
        method: method.toUpperCase(),
        path,
        parameters: parameters.map((parameter) => ({ ...parameter, schema: resolved(parameter.schema ?? {}) })),
        ...(body && { body: resolved(body) }),
        bodyRequired: body !== undefined && requestBody?.required !== false,
        statuses: Object.keys(responses).map(Number).filter(Boolean),
      };
    }),
  );
}

/** What Swagger UI fills in: the example, else the default, else what can be made of the examples of the parts. */
export function exampleOf(schema: Schema): unknown {
  const said = schema.example ?? schema.examples?.[0] ?? schema.default;
  if (said !== undefined) return said;
  if (schema.enum) return schema.enum[0];
  if (schema.items) return [exampleOf(schema.items)];
  if (!schema.properties) return undefined;
  const entries = Object.entries(schema.properties).map(([name, of]) => [name, exampleOf(of)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

const exampleOfParameter = ({ example, schema }: Parameter) =>
  (example ?? exampleOf(schema ?? {})) as string | number | undefined;

/** The request that Swagger UI sends if nobody changes anything; `ids` are put in place of the example of a path parameter. */
export function requestOf({ method, path, parameters, body }: Operation, ids: Record<string, string> = {}) {
  const filled = (where: Parameter['in']) =>
    parameters.flatMap((parameter): [string, string][] => {
      const value = ids[parameter.name] ?? exampleOfParameter(parameter);
      return parameter.in === where && value !== undefined ? [[parameter.name, String(value)]] : [];
    });
  const inPath = Object.fromEntries(filled('path'));
  const query = new URLSearchParams(filled('query')).toString();
  const at = path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = inPath[name];
    if (value === undefined) throw new Error(`${method} ${path}: ${name} has no example`);
    return encodeURIComponent(value);
  });
  return {
    method,
    path: query ? `${at}?${query}` : at,
    body: body && exampleOf(body),
    headers: Object.fromEntries(filled('header')),
  };
}

import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule, type OpenAPIObject } from '@nestjs/swagger';
import { z } from 'zod';

/** What the documentation says about a service. */
export interface About {
  title: string;
  description?: string;
  version?: string;
}

/** The body of every error response, for the documentation. */
const problemDetails = z.looseObject({
  type: z.string().meta({ examples: ['about:blank'] }),
  title: z.string().meta({ examples: ['Bad Request'] }),
  status: z.int().meta({ examples: [400] }),
  detail: z.string().optional(),
  instance: z.string().optional(),
  errors: z
    .array(
      z.object({
        detail: z.string(),
        pointer: z
          .string()
          .optional()
          .meta({ description: 'Place in the body (JSON Pointer).', examples: ['#/email'] }),
        parameter: z.string().optional().meta({ description: 'Name of the path or query parameter.' }),
        header: z.string().optional(),
      }),
    )
    .optional(),
  correlationId: z.string().optional().meta({ description: 'Finds everything about this request in the logs.' }),
});

/** Swagger UI at `/docs`, the OpenAPI 3.1 document at `/openapi.json`; it is made at the first request. */
export function serveDocumentation(app: NestFastifyApplication, about: About): void {
  SwaggerModule.setup('docs', app, () => documentOf(app, about), {
    jsonDocumentUrl: 'openapi.json',
    raw: ['json'],
    customSiteTitle: about.title,
  });
}

function documentOf(app: NestFastifyApplication, { title, description = '', version = '1' }: About): OpenAPIObject {
  const config = new DocumentBuilder().setTitle(title).setDescription(description).setVersion(version);
  const document = SwaggerModule.createDocument(app, config.setOpenAPIVersion('3.1.0').build(), {
    operationIdFactory: (controller, method) => `${controller.replace(/Controller$/, '')}_${method}`,
    standardSchemaConverter: (schema, { schemaType }) =>
      schema instanceof z.core.$ZodType ? jsonSchemaOf(schema, schemaType) : undefined,
  });
  return withProblems(document);
}

/** Nest converts for OpenAPI 3.0; 3.1 speaks JSON Schema 2020-12. */
function jsonSchemaOf(schema: z.core.$ZodType, io: 'input' | 'output') {
  const {
    $schema: _,
    $defs: components = {},
    ...root
  } = z.toJSONSchema(schema, { target: 'draft-2020-12', io, unrepresentable: 'any', override: plainer });
  for (const component of Object.values(components)) delete component.id;
  delete root.id;
  return { schema: root, components };
}

/** Without what is true of every integer in JavaScript, and without the pattern behind a format that has a name. */
function plainer({ jsonSchema }: { jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (jsonSchema.maximum === Number.MAX_SAFE_INTEGER) delete jsonSchema.maximum;
  if (jsonSchema.minimum === Number.MIN_SAFE_INTEGER) delete jsonSchema.minimum;
  if (jsonSchema.format !== undefined) delete jsonSchema.pattern;
}

/** Every operation may answer with problem details; said once here instead of at every controller. */
function withProblems(document: OpenAPIObject): OpenAPIObject {
  const { schema } = jsonSchemaOf(problemDetails, 'output');
  const components = (document.components ??= {});
  components.schemas = { ...components.schemas, ProblemDetails: schema as object };
  components.responses = {
    ...components.responses,
    Problem: {
      description: 'Anything that went wrong (RFC 9457)',
      content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/ProblemDetails' } } },
    },
  };
  for (const path of Object.values(document.paths)) {
    for (const operation of Object.values(path) as { responses?: Record<string, unknown> }[]) {
      if (operation.responses !== undefined) operation.responses.default ??= { $ref: '#/components/responses/Problem' };
    }
  }
  return document;
}

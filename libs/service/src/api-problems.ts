import { applyDecorators } from '@nestjs/common';
import { ApiResponse } from '@nestjs/swagger';

const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/ProblemDetails' } } };

/**
 * Documents what an operation refuses, and when: `@ApiProblems({ 404: 'There is no such order.' })`. That what is not valid is a
 * 400 need not be said.
 */
export const ApiProblems = (problems: Readonly<Record<number, string>> = {}) =>
  applyDecorators(
    ...Object.entries({ 400: 'The request is not valid; `errors` says where.', ...problems }).map(
      ([status, description]) => ApiResponse({ status: Number(status), description, content }),
    ),
  );

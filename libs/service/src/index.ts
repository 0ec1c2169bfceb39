export { ApiProblems } from './api-problems.js';
export { BackboneModule } from './backbone.module.js';
export { bootstrap, type ServiceOptions } from './bootstrap.js';
export { ConfigurationError, ServiceConfig, loadConfig, type ConfigurationProblem } from './config.js';
export { etagHeader, etagOf, IfMatch, parseIfMatch, requireMatch, type Precondition } from './etag.js';
export { HealthModule, HealthRegistry, type Health, type Readiness } from './health.js';
export { BODY_LIMIT, createHttpApp } from './http-app.js';
export { Idempotency, IdempotencyKey, type KeyedRequest } from './idempotency.js';
export { createLogger } from './logging.js';
export { maskSecrets } from './mask.js';
export { MetricsModule, metricsRegistry } from './metrics.js';
export type { About } from './openapi.js';
export { pageOf, pageQuery, toPage, type Page } from './paging.js';
export { problemOf } from './problem-of.js';
export {
  BadRequestProblem,
  ConflictProblem,
  NotFoundProblem,
  PreconditionFailedProblem,
  Problem,
  ServiceUnavailableProblem,
  UnprocessableProblem,
  pointerOf,
  problem,
  type ProblemDetails,
  type ProblemError,
  type ProblemOptions,
} from './problem.js';
export { SchemaValidationPipe, uuidParam } from './validation.js';
export {
  ROLES,
  describeVariables,
  variable,
  wholeNumber,
  type Role,
  type ServiceDefaults,
  type Variable,
} from './variables.js';
export { listenToEvents, migrationsOf, serviceMigrations } from './start-steps.js';

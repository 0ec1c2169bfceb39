import { Controller, Get, Header, Module } from '@nestjs/common';
import { ApiOperation, ApiProduces, ApiTags } from '@nestjs/swagger';
import type { FastifyInstance } from 'fastify';
import { Histogram, collectDefaultMetrics, register } from 'prom-client';

/** The registry behind `GET /metrics`: prom-client's global one, so that what other libraries register appears, too. */
export const metricsRegistry = register;

// Buckets and names of the OpenTelemetry semantic conventions for HTTP, in their Prometheus spelling.
const requestDuration = new Histogram({
  name: 'http_server_request_duration_seconds',
  help: 'Time from the first byte of a request to the last byte of its response.',
  labelNames: ['http_request_method', 'http_route', 'http_response_status_code'],
  buckets: [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
});

/** Measures every request by route pattern; paths without a route share one label, so that nobody can flood the registry. */
export function measureRequests(fastify: FastifyInstance): void {
  fastify.addHook('onResponse', (request, reply, done) => {
    const route = request.is404 ? '(no route)' : (request.routeOptions.url ?? '(no route)');
    requestDuration.labels(request.method, route, String(reply.statusCode)).observe(reply.elapsedTime / 1000);
    done();
  });
}

@ApiTags('operations')
@Controller('metrics')
class MetricsController {
  @Get()
  @Header('content-type', register.contentType)
  @Header('cache-control', 'no-store')
  @ApiProduces('text/plain')
  @ApiOperation({ summary: 'Measurements for Prometheus' })
  metrics(): Promise<string> {
    return register.metrics();
  }
}

/** `GET /metrics` in Prometheus' text format, with the measurements of the process. */
@Module({ controllers: [MetricsController] })
export class MetricsModule {
  constructor() {
    // Several apps may live in one process, as in tests; the process is measured once.
    if (register.getSingleMetric('process_cpu_seconds_total') === undefined) collectDefaultMetrics();
  }
}

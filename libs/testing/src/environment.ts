import path from 'node:path';

/** The project's own folder. */
export const projectDir = path.resolve(import.meta.dirname, '../../..');

export function variable(name: string): string {
  const value = process.env[name];
  if (value) return value;
  throw new Error(
    `${name} is not set: this test needs RabbitMQ and Postgres, which Jest starts for *.int-spec.ts and *.e2e-spec.ts only`,
  );
}

/** What one process of a service does; by default all of it. */
export type MessagingRole = 'relay' | 'inbox' | 'workers';

/** How a service takes part in the exchange of events. */
export interface MessagingOptions {
  /** The service's name: owner of its events, prefix of its exchange and queues. */
  service: string;
  /** Brokers to try, in any order: `amqp://user:password@host:port/vhost`. */
  rabbitmqUrls: readonly string[];
  /** `postgres://…` of the service's own database. */
  databaseUrl: string;
  roles: ReadonlySet<MessagingRole>;
}

export const MESSAGING_OPTIONS = Symbol('MESSAGING_OPTIONS');

/** Names of everything a service has at the broker, legible in its management UI. */
export const namesOf = (service: string) => ({
  /** CloudEvents `source`. */
  source: `/${service}`,
  exchange: `${service}.events`,
  inbox: `${service}.inbox`,
  dead: `${service}.inbox.dead`,
});

/** The exchange that carries the events of a source such as `/users`. */
export const ownerOf = (source: string): string => source.replace(/^\//, '');

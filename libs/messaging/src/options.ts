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
  /** How often both sides balance their books, in ms; default 15 000. Loss is found and healed within a few times that. */
  booksIntervalMs?: number;
}

export const MESSAGING_OPTIONS = Symbol('MESSAGING_OPTIONS');

/** Names of everything a service has at the broker, legible in its management UI. */
export const namesOf = (service: string) => ({
  /** CloudEvents `source`. */
  source: `/${service}`,
  /** What the service tells. */
  exchange: `${service}.events`,
  /** Answers to those who asked it to repeat something. */
  replay: `${service}.replay`,
  replayRequests: `${service}.replay-requests`,
});

/** Where every request to repeat something goes; routing key: the owner of the events. */
export const REPLAY_REQUESTS = 'replay.requests';

/** The names of an inbox: in the tables and at the broker. A service has one without a name and may have more. */
export const inboxNamesOf = (service: string, name?: string) => ({
  inbox: name ? `${service}.${name}` : service,
  queue: name ? `${service}.inbox.${name}` : `${service}.inbox`,
  dead: name ? `${service}.inbox.${name}.dead` : `${service}.inbox.dead`,
});

/** The service behind a CloudEvents source such as `/users`. */
export const ownerOf = (source: string): string => source.replace(/^\//, '');

/** What an error says; Node's error for a host with several addresses says it in its parts. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0]);
  return error instanceof Error ? error.message || error.name : String(error);
}

/** The broker's error with its remedy, where there is one. */
export function explain(error: unknown): string {
  const message = messageOf(error);
  const remedy = REMEDIES.find(([pattern]) => pattern.test(message))?.[1];
  return remedy ? `${message}. ${remedy}` : message;
}

const REMEDIES: [RegExp, string][] = [
  [
    /message size/,
    'An event is larger than the broker allows: it is set aside, or raise max_message_size in its configuration',
  ],
  [
    /PRECONDITION[_-]FAILED/,
    'A queue or exchange of that name exists with other settings: restore them, or delete it in the management UI: events of services are replayed from their logs, but events of third parties that are still in a queue go with it',
  ],
  [/NOT[_-]ALLOWED|virtual host/, 'Check the end of RABBITMQ_URL, and the limits and permissions of the virtual host'],
  [/Login was refused|ACCESS_REFUSED - Login/, 'Check user and password in RABBITMQ_URL'],
  [
    /ACCESS[_-]REFUSED/,
    'The user in RABBITMQ_URL needs configure, write and read permission: rabbitmqctl set_permissions -p <vhost> <user> ".*" ".*" ".*"',
  ],
  [
    /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|ECONNRESET|closed abruptly/,
    'Is RabbitMQ running, and does RABBITMQ_URL point to it?',
  ],
];

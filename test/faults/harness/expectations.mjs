// What must have happened for each event, by the name of the service that hears it. Written down here once more,
// independently of the services.

/** @typedef {Record<string, string[]>} Reactions by type of the event */

/** @type {Reactions} */
const consumer = {
  'producer.account.credited.v1': ['Record', 'AddToTotal', 'Audit'],
  'producer.account.debited.v1': ['Record', 'AddToTotal'],
  'producer.account.noted.v1': ['Record'],
  'producer.ticket.raised.v1': ['Record', 'Audit'],
  'producer.ticket.closed.v1': ['Record'],
};

/** @param {string} service @returns {Reactions} */
export function reactionsOf(service) {
  if (service === 'producer') return { 'consumer.receipt.issued.v1': ['NoteReceipt'] };
  if (service !== 'consumer') return consumer;
  const credited = 'producer.account.credited.v1';
  return { ...consumer, [credited]: [...(consumer[credited] ?? []), 'IssueReceipt'] };
}

/** Its inboxes and the aggregates of which each keeps the books. @param {string} service @returns {Record<string, string[]>} */
export function inboxesOf(service) {
  if (service === 'producer') return { producer: ['consumer.receipt'] };
  const aggregates = ['producer.account', 'producer.ticket'];
  return { [service]: aggregates, [`${service}.audit`]: aggregates };
}

/** Who records the events that a service hears. @param {string} service */
export const ownerFor = (service) => (service === 'producer' ? 'consumer' : 'producer');

const BUCKETS = 5;
/** @param {string} prefix @param {string} accountId */
export const bucketOf = (prefix, accountId) => `${prefix}${Number(accountId.slice(1)) % BUCKETS}`;

// What the checker has to leave out of account, because the scenario itself brought it about: an operator skipped it, a backup
// has forgotten it. Empty in nearly all scenarios.

export class Exceptions {
  /** Events that stay parked for good, by name of the service. @type {Record<string, number>} */
  parkedForGood = {};
  /** Events that an operator has skipped, so that they have no effect, by id. @type {Set<string>} */
  skipped = new Set();
  /** Inboxes besides the usual ones with their aggregates, by name of the service. @type {Record<string, Record<string, string[]>>} */
  moreInboxes = {};
  /** Commands that were acknowledged by a database that was later taken back to an older state. @type {Set<string>} */
  forgotten = new Set();
  /** What those commands had recorded. @type {{ id: string, type: string, data: { commandId: string, index: number, accountId: string, amount: number } }[]} */
  forgottenEvents = [];
  /** Reactions that need not have seen an event, as `service reaction` → ids. @type {Map<string, Set<string>>} */
  exempt = new Map();
  /** Effects of events that exist no more, as `service id`. @type {Set<string>} */
  allowed = new Set();
  /** Lives of a log that an older state of it contradicts. @type {Set<string>} */
  brokenEpochs = new Set();
  /** Events that may have been held back for that reason. @type {Set<string>} */
  contradictory = new Set();

  /** Events that no reaction must or can have any more, by id. */
  get uncounted() {
    return [...this.skipped, ...this.contradictory, ...this.forgottenEvents.map(({ id }) => id)];
  }

  /** @param {string} commandId */
  isForgotten(commandId) {
    return this.forgotten.has(commandId);
  }

  /** Whether an event need not have had this effect. @param {string} service @param {string} reaction @param {string} id */
  isExempt(service, reaction, id) {
    return (
      this.skipped.has(id) || this.contradictory.has(id) || this.exempt.get(`${service} ${reaction}`)?.has(id) === true
    );
  }

  /** Whether an effect of an unknown event is in order. @param {string} service @param {string} key `id reaction` */
  isAllowed(service, key) {
    return this.allowed.has(`${service} ${key.split(' ')[0]}`);
  }
}

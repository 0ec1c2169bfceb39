import type { Pool } from 'pg';
import type { AnyReaction } from './awaited-event-bus.js';

/** A reaction was added to an inbox that is past the beginning, and does not say that this is meant. */
export class UndeclaredReactionError extends Error {
  override readonly name = 'UndeclaredReactionError';
}

// The books know of every event that went through; the streams would have to be read one by one.
const isPast = (aggregate: string) => `(
  exists (select from messaging.inbox_pages i where i.inbox = $1 and i.aggregate = ${aggregate})
  or exists (select from messaging.inbox_books b where b.inbox = $1 and b.aggregate = ${aggregate} and b.folded > 0))`;

// A version of an event that an inbox did not know while it knew another one has been parked: nothing of it is missed.
const NEW = `
select u.reaction, u.type, u.aggregate from unnest($2::text[], $3::text[], $4::text[]) u (reaction, type, aggregate)
where not exists (select from messaging.reactions r where r.inbox = $1 and r.reaction = u.reaction and r.type = u.type)
  and ${isPast('u.aggregate')}
  and (exists (select from messaging.reactions r where r.inbox = $1 and r.type = u.type)
       or not exists (
         select from messaging.reactions r
         where r.inbox = $1 and regexp_replace(r.type, '\\d+$', '') = regexp_replace(u.type, '\\d+$', '')))`;

/**
 * Remembers which reaction has been in an inbox since when.
 *
 * @throws {@link UndeclaredReactionError} if a new one would silently miss what happened before
 */
export async function admitReactions(
  pool: Pool,
  inbox: string,
  reactions: readonly { type: string; aggregate: string; reaction: AnyReaction }[],
): Promise<void> {
  const names = reactions.map(({ reaction }) => reaction.constructor.name);
  const { rows } = await pool.query<{ reaction: string; type: string; aggregate: string }>(NEW, [
    inbox,
    names,
    reactions.map(({ type }) => type),
    reactions.map(({ aggregate }) => aggregate),
  ]);
  const late = rows.filter(
    (row) =>
      !reactions.some(
        ({ reaction }) => reaction.constructor.name === row.reaction && reaction.history === 'from now on',
      ),
  );
  if (late.length > 0) {
    const what = late.map(({ reaction, type }) => `${reaction} (${type})`).join(', ');
    throw new UndeclaredReactionError(
      `${what}: new in the inbox "${inbox}", which is past the beginning, so it would miss everything that happened before. ` +
        `Either say that this is meant: readonly history = 'from now on'; or give it an inbox of its own, which starts from the beginning: readonly inbox = '<name>'.`,
    );
  }
  // A reaction that the running version does not have misses what happens from now on; if it comes back, it is new.
  await pool.query(`delete from messaging.reactions where inbox = $1 and reaction <> all($2)`, [inbox, names]);
  await pool.query(
    `insert into messaging.reactions (inbox, reaction, type)
     select $1, u.* from unnest($2::text[], $3::text[]) u on conflict do nothing`,
    [inbox, names, reactions.map(({ type }) => type)],
  );
}

// Transactions that are known as a whole when they are sent, committed together: under load one write, one transaction and one
// sync of the disk serve many commands. One fails, and each is done by itself.
import { DatabaseError, type Pool, type PoolClient, type QueryResult } from 'pg';
import { isContention, isDatabaseUnavailable } from './errors.js';
import { StatementGroup, type Statement } from './statement-group.js';

/** One transaction: its statements, and whoever waits for them. */
interface Member {
  statements: readonly Statement[];
  /** Called once, behind the last statement's `settle`. */
  end: (error: Error | undefined) => void;
}

/** Statements that share one answer. More would keep the driver writing while Postgres waits, and the other way round. */
export const GROUP = 100;
/** Transactions of a group at most; fewer after a failure, because all of them are done twice then. */
const MOST = 32;
const PATIENCE_MS = 50;

export class GroupCommit {
  #waiting: Member[] = [];
  #most = MOST;
  #underWay: 'nothing' | 'group' | 'slow group' = 'nothing';

  /**
   * @param lane one connection, whose `lock_timeout` is short: a group holds locks in the order in which its members came, which
   *   may be another than that of whoever it waits for
   * @param pool for those that are done alone
   * @param patienceMs what waits behind a group that takes longer goes its own way
   */
  constructor(
    private readonly lane: Pool,
    private readonly pool: Pool,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  /**
   * Commits `statements` as one transaction, or rolls all of them back.
   *
   * @throws whatever Postgres says of the first that failed, or of COMMIT; {@link isDatabaseUnavailable}: whether it was
   *   committed is unknown if it had been sent
   */
  commit(statements: readonly Statement[]): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = (error: Error | undefined) => (error ? reject(error) : resolve());
      const member: Member = { statements, end };
      if (this.#underWay === 'slow group') return void this.#alone(member);
      this.#waiting.push(member);
      if (this.#underWay === 'nothing') void this.#work();
    });
  }

  async #work(): Promise<void> {
    while (this.#waiting.length > 0) {
      this.#underWay = 'group';
      const patience = setTimeout(() => {
        this.#underWay = 'slow group';
        for (const member of this.#waiting.splice(0)) void this.#alone(member);
      }, this.patienceMs);
      await this.#together(this.#next());
      clearTimeout(patience);
    }
    this.#underWay = 'nothing';
  }

  #next(): Member[] {
    let statements = 0;
    let count = 0;
    for (const member of this.#waiting) {
      statements += member.statements.length;
      if (count > 0 && (statements > GROUP || count >= this.#most)) break;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  async #together(members: readonly Member[]): Promise<void> {
    const { error, answers, isSent } = await send(
      this.lane,
      members.flatMap(({ statements }) => statements),
    );
    if (!isSent && isFull(error)) return members.forEach((member) => void this.#alone(member)); // the pool may have connections
    const isItsOwn = members.length === 1 && !isContention(error);
    if (!isRefused(error) || isItsOwn) {
      this.#most = Math.min(MOST, this.#most + 1);
      let at = 0;
      for (const { statements, end } of members) {
        answer(statements, answers.slice(at, (at += statements.length)), error);
        end(error);
      }
      return;
    }
    this.#most = Math.ceil(this.#most / 2);
    for (const member of members) void this.#alone(member);
  }

  async #alone({ statements, end }: Member): Promise<void> {
    const { error, answers } = await send(this.pool, statements);
    answer(statements, answers, error);
    end(error);
  }
}

/**
 * Whether Postgres has refused it, and so rolled back for certain: only that may be done again. A lost connection or a crash of the
 * server (58: of its system, XX: of itself) may have come behind the commit.
 */
const isRefused = (error: Error | undefined): boolean =>
  error instanceof DatabaseError && !isDatabaseUnavailable(error) && !/^(58|XX)/.test(error.code ?? '');

/** The server takes no more connections. */
const isFull = (error: Error | undefined): boolean => error instanceof DatabaseError && error.code === '53300';

type Answer = Parameters<Statement['settle']>;

/** Never rejects. What Postgres gets between two `Sync`s is one transaction, committed or rolled back at the second. */
async function send(
  pool: Pool,
  statements: readonly Statement[],
): Promise<{ error: Error | undefined; answers: Answer[]; isSent: boolean }> {
  const answers: Answer[] = [];
  const settle = (error: Error | undefined, result: QueryResult | undefined) => void answers.push([error, result]);
  let client: PoolClient | undefined;
  let error: Error | undefined;
  try {
    client = await pool.connect();
    const group = statements.map(({ text, values, name }) => ({ text, values, name, settle }));
    const sent = client;
    error = await new Promise<Error | undefined>((resolve) => sent.query(new StatementGroup(group, resolve)));
  } catch (cause) {
    error = cause as Error;
  }
  client?.release(isRefused(error) ? undefined : error);
  return { error, answers, isSent: client !== undefined };
}

function answer(statements: readonly Statement[], answers: readonly Answer[], error: Error | undefined): void {
  statements.forEach(({ settle }, index) => settle(...(answers[index] ?? [error, undefined])));
}

// What users has made of the orders, and orders of the users.
import type { Databases, OrderFacts } from './check.js';
import type { Told } from './load.js';

interface User {
  id: string;
  name: string;
  email: string;
  status: string;
  points: number;
  tier: string;
}

export async function checkMembers(shop: Databases, orders: readonly OrderFacts[], told: Told): Promise<string[]> {
  const users = await shop.rows<User>('users', 'select id, name, email, status, points, tier from users');
  const known = new Map(users.map((user) => [user.id, user]));
  return [
    ...told.users.filter((id) => !known.has(id)).map((id) => `user ${id} was registered, and is not there`),
    ...(users.length === told.users.length ? [] : [`${users.length} users instead of ${told.users.length}`]),
    ...checkPoints(users, orders),
    ...(await checkNotifications(shop, known, orders)),
    ...(await checkCustomers(shop, users)),
  ];
}

function checkPoints(users: readonly User[], orders: readonly OrderFacts[]): string[] {
  const earned = new Map<string, number>();
  for (const { user_id, status, total } of orders) {
    if (status === 'confirmed') earned.set(user_id, (earned.get(user_id) ?? 0) + Math.floor(total / 100));
  }
  return users.flatMap(({ id, points, tier }) => {
    const expected = earned.get(id) ?? 0;
    const worth = expected >= 5_000 ? 'gold' : expected >= 1_000 ? 'silver' : 'standard';
    return points === expected && tier === worth
      ? []
      : [`user ${id} has ${points} points and is ${tier}, should have ${expected} and be ${worth}`];
  });
}

async function checkNotifications(
  shop: Databases,
  users: ReadonlyMap<string, User>,
  orders: readonly OrderFacts[],
): Promise<string[]> {
  const rows = await shop.rows<{ order_id: string; kinds: string }>(
    'users',
    `select order_id, string_agg(kind, ' ' order by id) as kinds from notifications group by order_id`,
  );
  const kinds = new Map(rows.map((row) => [row.order_id, row.kinds]));
  return orders.flatMap(({ id, user_id, path }) => {
    const facts = path.replace(/awaiting-\w+ /g, '').split(' ');
    const expected = users.has(user_id) ? facts.map((fact) => `order-${fact}`).join(' ') : undefined;
    return kinds.get(id) === expected ? [] : [`of order ${id} (${path}) its user was told: ${kinds.get(id)}`];
  });
}

/** The replica is what it is a replica of. */
async function checkCustomers(shop: Databases, users: readonly User[]): Promise<string[]> {
  const sql = 'select user_id as id, name, email, status, tier from customers';
  const customers = new Map((await shop.rows<Omit<User, 'points'>>('orders', sql)).map((row) => [row.id, row]));
  const seen = ({ name, email, status, tier }: Omit<User, 'points'>) => [name, email, status, tier].join(', ');
  return users.flatMap((user) => {
    const customer = customers.get(user.id);
    if (customer && seen(customer) === seen(user)) return [];
    return [`user ${user.id} is ${seen(user)}, for orders ${customer ? seen(customer) : 'unknown'}`];
  });
}

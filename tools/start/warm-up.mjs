// Begins every bundle: a service loads its modules while its servers still start, and then waits for the rest of its
// environment, which comes as a message.

export async function untilServersAreThere() {
  if (!process.env.WARM_UP) return;
  delete process.env.WARM_UP;
  const rest = new Promise((resolve) => process.once('message', resolve));
  process.send?.('warm');
  Object.assign(process.env, await rest);
  process.disconnect();
}

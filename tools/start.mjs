// `npm start`: from a fresh clone to a running system. Everything it needs but Node and npm it finds, installs or starts itself;
// everything it has started it stops again. See --help.
const [major, minor] = process.versions.node.split('.').map(Number);
if (Number(major) < 20 || (major === 20 && Number(minor) < 19)) {
  console.error(`This project needs Node 20.19 or later; this is Node ${process.versions.node}.`);
  console.error('  Install a current one from https://nodejs.org, or with a version manager: nvm install');
  process.exit(1);
}
// Before anything else is loaded: .env also decides which services there are.
try {
  process.loadEnvFile(new URL('../.env', import.meta.url));
} catch (thrown) {
  const error = /** @type {NodeJS.ErrnoException} */ (thrown);
  if (error.code !== 'ENOENT') {
    console.error(`✗ The file .env cannot be read: ${error.message}\n  Correct it, or remove it.`);
    process.exit(1);
  }
}
const { main } = await import('./start/main.mjs');
await main(process.argv.slice(2));

// Builds the services of the benchmark as the apps are built, if a source has changed since.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { run } from '../../tools/infrastructure/commands.mjs';
import { Failure } from '../../tools/infrastructure/failure.mjs';
import { projectDir } from '../../tools/infrastructure/outside.mjs';

const stamp = path.join(projectDir, 'dist/bench/.built-from');

export async function buildServices() {
  const hash = hashOfSources();
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  const nest = path.join(projectDir, 'node_modules/@nestjs/cli/bin/nest.js');
  const { code, stdout, stderr } = await run(process.execPath, [nest, 'build', 'bench'], {
    cwd: projectDir,
    env: process.env,
  });
  if (code !== 0) {
    throw new Failure(`The services could not be built:\n${stripVTControlCharacters(`${stdout}${stderr}`).trim()}`);
  }
  writeFileSync(stamp, hash);
}

function hashOfSources() {
  const configuration = ['package-lock.json', 'tsconfig.json', 'nest-cli.json'];
  const sources = ['libs', 'bench/services'].flatMap((folder) =>
    readdirSync(path.join(projectDir, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => /\.(ts|json)$/.test(file) && !file.endsWith('spec.ts'))
      .map((file) => path.join(folder, file)),
  );
  const hash = createHash('sha256');
  for (const file of [...configuration, ...sources.sort()]) {
    hash.update(`${file}\0`).update(readFileSync(path.join(projectDir, file)));
  }
  return hash.digest('hex');
}

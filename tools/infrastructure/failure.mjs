/** Something went wrong that a person can put right: shown as one message and its remedy, never with a stack trace. */
export class Failure extends Error {
  /**
   * @param {string} message what is wrong, in one line
   * @param {string} [remedy] what to do about it; may have several lines
   */
  constructor(message, remedy) {
    super(message);
    this.name = 'Failure';
    this.remedy = remedy;
  }
}

/** Errors of the file system and of spawning, by code, in words. @type {Record<string, [string, string]>} */
const known = {
  ENOSPC: ['The disk is full.', 'Free some space, then try again.'],
  EDQUOT: ['Your disk quota is used up.', 'Free some space, then try again.'],
  EACCES: [
    'No permission',
    'Is the folder owned by another user, or was an earlier start made as root? Give it back with chown.',
  ],
  EPERM: [
    'No permission',
    'Is the folder owned by another user, or was an earlier start made as root? Give it back with chown.',
  ],
  EROFS: ['The file system is read-only', 'Work in a copy of the project that you can write to.'],
  EEXIST: ['There is a file where a folder should be', 'Rename or remove it.'],
  ENOTDIR: ['There is a file where a folder should be', 'Rename or remove it.'],
  EMFILE: ['Too many open files', 'Raise the limit: ulimit -n 4096'],
  ENFILE: ['Too many open files on this machine', 'Close some programs, then try again.'],
};

/**
 * @param {unknown} error
 * @returns {Failure} the error itself, or what can be said about it
 */
export function asFailure(error) {
  if (error instanceof Failure) return error;
  const { code, path, message } = /** @type {NodeJS.ErrnoException} */ (error);
  const words = code === undefined ? undefined : known[code];
  if (!words) return new Failure(message || String(error));
  return new Failure(path ? `${words[0].replace(/\.$/, '')}: ${path}` : words[0], words[1]);
}

/** @param {unknown} error */
export function describe(error) {
  const { message, remedy } = asFailure(error);
  return remedy ? `${message}\n${remedy.replace(/^/gm, '  ')}` : message;
}

// Greedy up to the last "@" without a slash, because people put a raw "@" into passwords.
const urlPassword = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/"\\]*):[^\s/"\\]*@/gi;
const authorization = /(authorization\\?"?\s*[:=]\s*\\?"?)(?:[a-z]+ )?[^\s"\\,}]+/gi;
const bearer = /\b(bearer|basic) [a-z0-9._~+/=-]{8,}/gi;

/** `text` without the passwords of URLs and without the credentials of authorization headers. */
export const maskSecrets = (text: string): string =>
  text.replace(urlPassword, '$1:***@').replace(authorization, '$1***').replace(bearer, '$1 ***');

/** What a service answered. */
export interface TestResponse {
  status: number;
  headers: Headers;
  /** Parsed, if it is JSON. */
  body: unknown;
}

/** A request; `body` is sent as JSON, text and bytes as they are (with `content-type: application/json` unless told). */
export type TestHttp = (
  method: string,
  path: string,
  body?: unknown,
  headers?: Record<string, string>,
) => Promise<TestResponse>;

/** @param baseUrl where the service answers; may change, for one that is started again */
export function httpClient(baseUrl: () => string): TestHttp {
  return async (method, path, body, headers = {}) => {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const response = await fetch(new URL(path, baseUrl()), {
      method,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      body: body === undefined ? undefined : raw ? (body as RequestInit['body']) : JSON.stringify(body),
    });
    const text = await response.text();
    const isJson = /[/+]json\b/.test(response.headers.get('content-type') ?? '');
    return { status: response.status, headers: response.headers, body: isJson ? JSON.parse(text) : text };
  };
}

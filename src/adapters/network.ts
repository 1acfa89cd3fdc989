/** What the system's errors say of a request that failed. */

const NOT_SENT =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|ERR_INVALID_URL|ERR_TLS_.*|ERR_SSL_.*|CERT_.*|SELF_SIGNED_.*|DEPTH_ZERO_.*|UNABLE_TO_.*)$/;

/** Whether a failure with this code came before anything of the request was on its way. */
export function isBeforeSending(code: string): boolean {
  return NOT_SENT.test(code);
}

/** The code of the last cause that has one: `fetch failed` says nothing, the socket's error below it does. */
export function innermostCode(error: unknown): string | undefined {
  let code: string | undefined;
  for (let at = error, depth = 0; isObject(at) && depth < 8; at = at.cause, depth++) {
    if (typeof at.code === 'string') code = at.code;
  }
  return code;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

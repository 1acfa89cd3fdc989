/** What the client library throws, as our own errors. None of them holds a token. */
import { KimiError } from '../../errors.ts';
import { GivenUp } from '../deadline.ts';
import { innermostCode, isBeforeSending, isObject } from '../network.ts';

/** Why a call failed: Slack refused it, or there was no answer that can be understood. */
export type Trouble =
  | { kind: 'api'; error: string; needed: string | undefined }
  | { kind: 'limited'; retryAfterMs: number }
  | { kind: 'network'; reason: string; received: boolean }
  | { kind: 'aborted' };

/** The token that a call uses. */
export type TokenName = 'botToken' | 'appToken';

/** Nothing is said of how long to wait. */
const WAIT_UNTOLD_MS = 1_000;

/** https://docs.slack.dev/reference/methods/chat.postMessage#errors, and the same for other methods. */
const UNAUTHORIZED = new Set([
  'invalid_auth',
  'not_authed',
  'account_inactive',
  'token_revoked',
  'token_expired',
  'user_removed_from_team',
  'team_disabled',
  'not_allowed_token_type',
]);
const LIMITED = new Set(['ratelimited', 'rate_limited']);
/** Slack's own trouble. After the first two, the call may have done something. */
const UNSETTLED = new Set(['fatal_error', 'internal_error']);
const PASSING = new Set([...UNSETTLED, 'service_unavailable', 'request_timeout', 'team_added_to_org']);

/** Reads what a call threw. Looks at shapes, not at classes, so that the library need not be loaded for it. */
export function diagnose(thrown: unknown): Trouble {
  if (thrown instanceof GivenUp) {
    return thrown.why === 'aborted'
      ? { kind: 'aborted' }
      : { kind: 'network', reason: thrown.message, received: true };
  }
  const error = isObject(thrown) ? thrown : {};
  switch (error.code) {
    case 'slack_webapi_rate_limited_error':
      return { kind: 'limited', retryAfterMs: milliseconds(error.retryAfter) };
    case 'slack_webapi_platform_error':
      return refusal(isObject(error.data) ? error.data : {});
    case 'slack_webapi_http_error': {
      const status = Number(error.statusCode);
      return { kind: 'network', reason: `server error ${status}`, received: status >= 500 };
    }
  }
  if (/^Retry header did not contain/.test(String(error.message))) {
    return { kind: 'limited', retryAfterMs: WAIT_UNTOLD_MS };
  }
  const code = innermostCode(error.original ?? error);
  if (code === undefined || code.startsWith('slack_')) {
    return { kind: 'network', reason: 'an answer that cannot be understood', received: true };
  }
  return { kind: 'network', reason: code, received: !isBeforeSending(code) };
}

function refusal(data: Record<string, unknown>): Trouble {
  const { error, needed } = data;
  // The library takes a body that is no JSON for an error's name.
  if (typeof error !== 'string' || !/^[a-z][a-z0-9_]{1,63}$/.test(error)) {
    return { kind: 'network', reason: 'an answer that cannot be understood', received: true };
  }
  if (LIMITED.has(error)) {
    const metadata = isObject(data.response_metadata) ? data.response_metadata : {};
    return { kind: 'limited', retryAfterMs: milliseconds(metadata.retryAfter) };
  }
  if (PASSING.has(error)) return { kind: 'network', reason: error, received: UNSETTLED.has(error) };
  return {
    kind: 'api',
    error,
    needed: typeof needed === 'string' && /^[\w:.,]{1,200}$/.test(needed) ? needed : undefined,
  };
}

function milliseconds(seconds: unknown): number {
  return typeof seconds === 'number' && seconds >= 0 ? seconds * 1_000 : WAIT_UNTOLD_MS;
}

const HOW_TO_GET: Record<TokenName, string> = {
  botToken: 'Install the app again (api.slack.com/apps, "Install App") and set channels.slack.botToken.',
  appToken:
    'Make one with connections:write (api.slack.com/apps, "Basic Information", "App-Level Tokens") and set channels.slack.appToken.',
};

/** `doing` says what was tried: "send a message". */
export function toKimiError(trouble: Trouble, doing: string, token: TokenName): KimiError {
  switch (trouble.kind) {
    case 'aborted':
      return new KimiError(
        `Stopped while trying to ${doing}; it may have happened. Try again if it matters.`,
        {
          code: 'stopped',
          retryable: true,
          outcomeUnknown: true,
        },
      );
    case 'network':
      return new KimiError(
        `Could not ${doing}: ${trouble.reason}. Check the network and channels.slack.apiUrl; it is tried again.`,
        { code: 'network', retryable: true, outcomeUnknown: trouble.received },
      );
    case 'limited':
      return new KimiError(
        `Slack asks to wait ${trouble.retryAfterMs / 1_000} s before it lets us ${doing}.`,
        {
          code: 'rate_limited',
          retryable: true,
          retryAfterMs: trouble.retryAfterMs,
        },
      );
    case 'api':
      return refused(trouble, doing, token);
  }
}

function refused({ error, needed }: Trouble & { kind: 'api' }, doing: string, token: TokenName): KimiError {
  if (UNAUTHORIZED.has(error)) {
    const which = token === 'botToken' ? 'bot token' : 'app-level token';
    return new KimiError(`Slack refuses the ${which} (${error}). ${HOW_TO_GET[token]}`, {
      code: 'unauthorized',
    });
  }
  if (error === 'missing_scope') {
    return new KimiError(
      `Slack refused to ${doing}: a scope is missing${needed ? ` (${needed})` : ''}. Compare the app's manifest with docs/slack.md and install the app again.`,
      { code: 'refused' },
    );
  }
  return new KimiError(
    `Slack refused to ${doing} (${error}). Check that I am a member of that channel; the person may write again.`,
    { code: 'refused' },
  );
}

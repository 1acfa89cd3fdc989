/** Whether each platform accepts the token it is given. */
import type { Check } from './check.ts';

const TIMEOUT_MS = 10_000;

export const checkTelegram: Check = async ({ config }) => {
  const { token, apiRoot } = config.channels.telegram;
  if (!token) return { status: 'ok', text: 'off: it has no token' };
  let response: Response;
  let body: { ok?: boolean; result?: { username?: string } };
  try {
    response = await fetch(`${apiRoot}/bot${token}/getMe`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
    body = (await response.json()) as typeof body;
  } catch (error) {
    // Only the code: the message may hold the address, and so the token.
    const text = `${apiRoot} does not answer (${reason(error)})`;
    return { status: 'fail', text, todo: 'Check the network, a proxy, and channels.telegram.apiRoot' };
  }
  if (body.ok) return { status: 'ok', text: `the token is @${body.result?.username}'s` };
  // The Bot API answers 404 to a token it cannot parse, and 401 to one that is not, or no longer, valid.
  if (response.status === 401 || response.status === 404) {
    const text = `${apiRoot} refuses the token`;
    return { status: 'fail', text, todo: 'Ask @BotFather for a new one, for channels.telegram.token' };
  }
  const text = `${apiRoot} answers with status ${response.status}`;
  return { status: 'fail', text, todo: 'Try again later, or check channels.telegram.apiRoot' };
};

function reason(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
  if (typeof cause?.code === 'string') return cause.code;
  return name === 'TimeoutError' ? `no answer in ${TIMEOUT_MS / 1_000} s` : (name ?? 'unknown');
}

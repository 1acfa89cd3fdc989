/** Whether each platform accepts the token it is given. */
import type { Check, CheckResult } from './check.ts';

const TIMEOUT_MS = 10_000;

export const checkTelegram: Check = async ({ config }) => {
  const { token, apiRoot } = config.channels.telegram;
  if (!token) return OFF;
  return ask(
    { key: 'channels.telegram.apiRoot', address: apiRoot, path: `/bot${token}/getMe` },
    ({ status, body }) => {
      if (body.ok) return `the token is @${(body.result as { username?: string } | undefined)?.username}'s`;
      // The Bot API answers 404 to a token it cannot parse, and 401 to one that is not, or no longer, valid.
      if (status !== 401 && status !== 404) return undefined;
      return refused(apiRoot, 'the token', 'Ask @BotFather for a new one, for channels.telegram.token');
    },
  );
};

export const checkSlack: Check = async ({ config }) => {
  const { botToken, appToken, apiUrl } = config.channels.slack;
  if (!botToken && !appToken) return OFF;
  if (!botToken || !appToken) {
    const text = `one token is missing: ${botToken ? 'appToken' : 'botToken'}`;
    return { status: 'fail', text, todo: 'Slack needs both; docs/slack.md says where they are' };
  }
  const authorised = (path: string, token: string) => ({
    key: 'channels.slack.apiUrl',
    address: apiUrl,
    path,
    init: { method: 'POST', headers: { authorization: `Bearer ${token}` } },
  });
  const todo = 'Install the app again and copy its tokens; docs/slack.md says where they are';
  const app = await ask(authorised('/apps.connections.open', appToken), ({ body }) =>
    body.ok ? '' : refused(apiUrl, `the app token (${body.error})`, todo),
  );
  if (app.status !== 'ok') return app;
  return ask(authorised('/auth.test', botToken), ({ body }) =>
    body.ok
      ? `the tokens are ${body.user}'s in ${body.team}`
      : refused(apiUrl, `the bot token (${body.error})`, todo),
  );
};

export const checkDiscord: Check = async ({ config }) => {
  const { token, apiUrl } = config.channels.discord;
  if (!token) return OFF;
  const init = { headers: { authorization: `Bot ${token}` } };
  return ask(
    { key: 'channels.discord.apiUrl', address: apiUrl, path: '/v10/users/@me', init },
    ({ status, body }) => {
      if (status === 200) return `the token is ${body.username}'s`;
      if (status !== 401) return undefined;
      return refused(apiUrl, 'the token', 'Reset it in the developer portal and set channels.discord.token');
    },
  );
};

const OFF: CheckResult = { status: 'ok', text: 'off: it has no token' };

function refused(address: string, what: string, todo: string): CheckResult {
  return { status: 'fail', text: `${address} refuses ${what}`, todo };
}

interface Question {
  /** The configuration's key of the address. */
  key: string;
  address: string;
  path: string;
  init?: RequestInit;
}

interface Answer {
  status: number;
  body: Record<string, unknown>;
}

/** Asks a platform. `judge` says what its answer means: a text is good news, undefined is not understood. */
async function ask(
  { key, address, path, init }: Question,
  judge: (answer: Answer) => CheckResult | string | undefined,
): Promise<CheckResult> {
  let answer: Answer;
  try {
    const response = await fetch(address + path, { ...init, signal: AbortSignal.timeout(TIMEOUT_MS) });
    answer = { status: response.status, body: (await response.json()) as Answer['body'] };
  } catch (error) {
    // Only the code: the message may hold the path, and so the token.
    const text = `${address} does not answer (${reason(error)})`;
    return { status: 'fail', text, todo: `Check the network, a proxy, and ${key}` };
  }
  const judged = judge(answer);
  if (typeof judged === 'string') return { status: 'ok', text: judged };
  const text = `${address} answers with status ${answer.status}`;
  return judged ?? { status: 'fail', text, todo: `Try again later, or check ${key}` };
}

function reason(error: unknown): string {
  const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
  if (typeof cause?.code === 'string') return cause.code;
  return name === 'TimeoutError' ? `no answer in ${TIMEOUT_MS / 1_000} s` : (name ?? 'unknown');
}

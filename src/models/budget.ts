/** Fits a prompt into a model's window: system text, then the message, then as many turns as there is room for. */
import { type HistoryMessage, summarise } from './summary.ts';
import { estimateTokens } from './tokens.ts';

/** What a chat template puts around a message: role, separators, and a heading that the caller may add. */
export const MESSAGE_OVERHEAD_TOKENS = 12;

export interface PromptParts {
  system: string;
  /** What was dropped earlier in this conversation; empty when nothing was. */
  summary: string;
  /** Oldest first, without the current message. */
  history: readonly HistoryMessage[];
  /** The current message. */
  text: string;
  /** The model's window in tokens, prompt and answer together. */
  window: number;
  /** Tokens kept free for the answer. No more than half the window is. */
  answer: number;
  /** Tokens that something else takes beside these texts: tool descriptions, images. */
  extra?: number;
  /** Counts the tokens of a text; must not err low. Default: {@link estimateTokens}. */
  count?: (text: string) => number;
}

export interface FittedPrompt {
  system: string;
  summary: string;
  /** A suffix of the history. */
  history: HistoryMessage[];
  text: string;
  /** What of the history no longer fits and is folded into `summary`, oldest first: the caller stores both. */
  dropped: HistoryMessage[];
  /** Whether the system text or the current message was cut. */
  cut: boolean;
  /** What these texts take, overhead included, `extra` not. */
  tokens: number;
  /** What is left for the answer at least: ask the model for no more. */
  answer: number;
}

/** Of what the message leaves free, the part that a summary may take. */
const SUMMARY_SHARE = 0.25;
/** Once turns must go, so many go that the next few messages need not drop any: engines reuse an unchanged prefix. */
const REFILL_SHARE = 0.7;
const SYSTEM_SHARE = 0.5;

/**
 * Decides what is sent. Pure and deterministic; the sum of what it returns, counted by `count` with
 * {@link MESSAGE_OVERHEAD_TOKENS} a message, never exceeds the window less the answer, for any input.
 *
 * The rule, in order: the system text stays (cut only beyond half the room); the current message stays (cut in the
 * middle, visibly, only if alone it exceeds what is left); if all turns and the summary fit, all are sent; else the
 * oldest turns go, a question together with its answer, and are folded into the summary.
 */
export function fitPrompt(parts: PromptParts): FittedPrompt {
  const count = parts.count ?? estimateTokens;
  const cost = (text: string) => (text === '' ? 0 : count(text) + MESSAGE_OVERHEAD_TOKENS);
  const costOf = (message: HistoryMessage) =>
    (message.tokens ?? count(message.content)) + MESSAGE_OVERHEAD_TOKENS;

  const window = Math.max(0, Math.floor(parts.window));
  const answer = Math.min(Math.max(0, Math.ceil(parts.answer)), Math.floor(window / 2));
  let room = window - answer - Math.ceil(parts.extra ?? 0);
  const total = room;

  const system = cutMiddle(parts.system, room * SYSTEM_SHARE - MESSAGE_OVERHEAD_TOKENS, count);
  room -= cost(system);
  const text = cutMiddle(parts.text, room - MESSAGE_OVERHEAD_TOKENS, count);
  room -= cost(text);
  const cut = system !== parts.system || text !== parts.text;

  const costs = parts.history.map(costOf);
  const all = costs.reduce((sum, one) => sum + one, 0);
  if (all + cost(parts.summary) <= room) {
    const tokens = total - room + all + cost(parts.summary);
    return {
      system,
      summary: parts.summary,
      history: [...parts.history],
      text,
      dropped: [],
      cut,
      tokens,
      answer,
    };
  }

  const summaryRoom = Math.floor(room * SUMMARY_SHARE);
  const first = firstKept(parts.history, costs, (room - summaryRoom) * REFILL_SHARE);
  const dropped = parts.history.slice(0, first);
  const summary = summarise(parts.summary, dropped, summaryRoom - MESSAGE_OVERHEAD_TOKENS, count);
  const kept = costs.slice(first).reduce((sum, one) => sum + one, 0);
  return {
    system,
    summary,
    history: parts.history.slice(first),
    text,
    dropped,
    cut,
    tokens: total - room + kept + cost(summary),
    answer,
  };
}

/** The index of the oldest message that is kept within `room`. What is kept begins with a question, not an answer. */
function firstKept(history: readonly HistoryMessage[], costs: readonly number[], room: number): number {
  let first = history.length;
  let used = 0;
  while (first > 0 && used + (costs[first - 1] ?? 0) <= room) {
    first--;
    used += costs[first] ?? 0;
  }
  while (first < history.length && history[first]?.role === 'assistant') first++;
  return first;
}

/**
 * Returns `text` when it takes at most `maxTokens`, else its beginning and its end with a mark between them that says
 * how much is missing. Never splits a surrogate pair. Empty when not even the mark fits.
 */
export function cutMiddle(
  text: string,
  maxTokens: number,
  count: (text: string) => number = estimateTokens,
): string {
  if (text === '' || (maxTokens > 0 && count(text) <= maxTokens)) return text;
  let kept = 0;
  let best = '';
  for (let step = 1 << Math.floor(Math.log2(text.length)); step > 0; step >>= 1) {
    const candidate = withoutMiddle(text, kept + step);
    if (kept + step < text.length && count(candidate) <= maxTokens) {
      kept += step;
      best = candidate;
    }
  }
  return best;
}

/** Keeps `kept` UTF-16 units of `text`, two thirds of them from its beginning: that is where a question mostly stands. */
function withoutMiddle(text: string, kept: number): string {
  let head = Math.ceil((kept * 2) / 3);
  let tail = text.length - (kept - head);
  if (isLowSurrogate(text.charCodeAt(head))) head--;
  if (isLowSurrogate(text.charCodeAt(tail))) tail++;
  return `${text.slice(0, head)}\n[… ${tail - head} characters left out …]\n${text.slice(tail)}`;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

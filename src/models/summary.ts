/** The rolling summary of what no longer fits the window. Extractive and deterministic: no model is asked, nothing is invented. */
import { estimateTokens } from './tokens.ts';

/** One message of a conversation, as it is remembered. */
export interface HistoryMessage {
  role: 'user' | 'assistant';
  content: string;
  /** The exact count, where it is known; else it is estimated. */
  tokens?: number;
}

/** What of one message is kept. What people say about themselves is short; what a model says is long and less needed. */
const KEPT_CHARACTERS = { user: 200, assistant: 120 } as const;
const LABEL = { user: 'User: ', assistant: 'Assistant: ' } as const;

/**
 * Folds `dropped` messages (oldest first) into `previous`, one line a message, within `maxTokens` by `count`.
 * When it grows too long the assistant's lines go first, then the user's questions, last what the user stated: names,
 * places and wishes outlive small talk. Within each kind the oldest go first. Empty when nothing fits.
 */
export function summarise(
  previous: string,
  dropped: readonly HistoryMessage[],
  maxTokens: number,
  count: (text: string) => number = estimateTokens,
): string {
  const lines = [
    ...previous.split('\n').filter((line) => line.trim() !== ''),
    ...dropped.flatMap(lineOf),
  ].map((line) => ({ line, worth: worthOf(line), tokens: count(`${line}\n`) }));
  const text = () => lines.map(({ line }) => line).join('\n');
  let total = lines.reduce((sum, { tokens }) => sum + tokens, 0);
  while (lines.length > 0 && (total > maxTokens || count(text()) > maxTokens)) {
    const least = Math.min(...lines.map(({ worth }) => worth));
    const oldest = lines.findIndex(({ worth }) => worth === least);
    const [gone] = lines.splice(oldest, 1);
    total -= gone?.tokens ?? 0;
  }
  return text();
}

function worthOf(line: string): number {
  if (line.startsWith(LABEL.assistant)) return 0;
  return /[?？؟]/.test(line) ? 1 : 2;
}

/** A message as a single line, so that nothing within it can pass for another message of the summary. */
function lineOf({ role, content }: HistoryMessage): string[] {
  const flat = content.replace(/\s+/g, ' ').trim();
  if (flat === '') return [];
  return [LABEL[role] + firstSentences(flat, KEPT_CHARACTERS[role])];
}

/** As many whole sentences as fit `limit` characters, else as many words, else as many characters. */
function firstSentences(text: string, limit: number): string {
  if (text.length <= limit) return text;
  const head = text.slice(0, limit);
  const sentence = Math.max(head.lastIndexOf('. '), head.lastIndexOf('! '), head.lastIndexOf('? '));
  if (sentence > limit / 3) return head.slice(0, sentence + 1);
  const word = head.lastIndexOf(' ');
  const end = word > limit / 3 ? word : limit;
  const cut = isHighSurrogate(text.charCodeAt(end - 1)) ? end - 1 : end;
  return `${text.slice(0, cut)}…`;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

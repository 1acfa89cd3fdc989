/** What a button of ours carries. Telegram gives it 64 bytes: an ask's id has at most 40, an option's at most 16. */

export interface Choice {
  ask: string;
  option: string;
}

export function writeChoice({ ask, option }: Choice): string {
  return `${option}|${ask}`;
}

/** Undefined for what we did not write. */
export function readChoice(data: string): Choice | undefined {
  const bar = data.indexOf('|');
  return bar > 0 ? { option: data.slice(0, bar), ask: data.slice(bar + 1) } : undefined;
}

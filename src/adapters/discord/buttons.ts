/** Questions as rows of buttons, and what a button that was pressed says. */
import type { Ask } from '../../message.ts';

/** Discord's figures: https://discord.com/developers/docs/components/reference#action-row */
const PER_ROW = 5;
const BUTTON = 2;
const ROW = 1;
const SECONDARY = 2;

const PREFIX = 'ask';

export function buttonRows({ id, options }: Ask): object[] {
  const buttons = options.map((option) => ({
    type: BUTTON,
    style: SECONDARY,
    label: option.label,
    custom_id: [PREFIX, encodeURIComponent(id), encodeURIComponent(option.id)].join(':'),
  }));
  return Array.from({ length: Math.ceil(buttons.length / PER_ROW) }, (_, row) => ({
    type: ROW,
    components: buttons.slice(row * PER_ROW, (row + 1) * PER_ROW),
  }));
}

/** Undefined for a button that is none of ours. */
export function readChoice(customId: string): { ask: string; option: string } | undefined {
  const [prefix, ask, option, ...more] = customId.split(':');
  if (prefix !== PREFIX || !ask || !option || more.length > 0) return undefined;
  try {
    return { ask: decodeURIComponent(ask), option: decodeURIComponent(option) };
  } catch {
    return undefined;
  }
}

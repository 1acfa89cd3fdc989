/** A question as Block Kit: its text in sections, its options as buttons. */
import type { types } from '@slack/bolt';
import type { Ask } from '../../message.ts';
import { chunk } from '../chunk.ts';
import { weighMrkdwn } from '../markup/slack.ts';
import type { Markup } from '../markup.ts';

/** https://docs.slack.dev/reference/block-kit/blocks/section-block */
const SECTION_LIMIT = 3_000;
/** What rendering may add to a text besides escapes: marks around links, bullets, the lines around a table. */
const MARKUP_ROOM = 200;
/** https://docs.slack.dev/reference/block-kit/block-elements/button-element */
const LABEL_LIMIT = 75;

/** Cuts CommonMark so that each piece, rendered and escaped, is at most `limit` long. */
export function splitMrkdwn(text: string, limit: number): string[] {
  return chunk(text, limit - MARKUP_ROOM, weighMrkdwn)
    .map((piece) => piece.text)
    .filter((piece) => piece !== '');
}

export function askBlocks(text: string, { id, options }: Ask, markup: Markup): types.KnownBlock[] {
  const sections = splitMrkdwn(text, SECTION_LIMIT).map(
    (piece): types.SectionBlock => ({
      type: 'section',
      text: { type: 'mrkdwn', text: markup.slack(piece, SECTION_LIMIT), verbatim: true },
      expand: true,
    }),
  );
  const buttons = options.map(
    (option, i): types.Button => ({
      type: 'button',
      action_id: `option-${i}`,
      // Read again by inbound.ts.
      value: JSON.stringify([id, option.id]),
      text: { type: 'plain_text', text: labelOf(option.label), emoji: false },
    }),
  );
  return [...sections, { type: 'actions', elements: buttons }];
}

/** Slack refuses an empty label. */
function labelOf(label: string): string {
  const shown = label.replace(/\p{Surrogate}/gu, '\ufffd').trim();
  return shown.length > LABEL_LIMIT ? `${shown.slice(0, LABEL_LIMIT - 1)}…` : shown || '…';
}

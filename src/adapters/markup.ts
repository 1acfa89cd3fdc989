/** CommonMark as each platform writes it. The parser is loaded when the first channel that needs it starts. */
import type { Root } from 'mdast';
import { closeFences, escapeMrkdwn, slackMrkdwn } from './markup/slack.ts';
import { escapeHtml, telegramHtml, visibleLength } from './markup/telegram.ts';

export interface Markup {
  /**
   * CommonMark, with GitHub's tables and strikethrough, as HTML that Telegram accepts: always well formed, and at
   * most `limit` UTF-16 units long once its entities are parsed, provided that `text` is. Shows everything that is
   * in the text, as it stands where its markup cannot be kept.
   */
  telegram(text: string, limit: number): string;
  /**
   * The same as Slack's mrkdwn, at most `limit` UTF-16 units long provided that `text`, escaped, leaves four of them;
   * without lone halves of surrogate pairs, with which Slack's client hangs. Calls nobody.
   */
  slack(text: string, limit: number): string;
}

export async function loadMarkup(): Promise<Markup> {
  const [{ fromMarkdown }, { gfm }, { gfmFromMarkdown }] = await Promise.all([
    import('mdast-util-from-markdown'),
    import('micromark-extension-gfm'),
    import('mdast-util-gfm'),
  ]);
  const extensions = [gfm({ singleTilde: false })];
  const mdastExtensions = [gfmFromMarkdown()];

  const parse = (text: string): Root => fromMarkdown(text, { extensions, mdastExtensions });

  return {
    telegram(text, limit) {
      try {
        const root = parse(text);
        for (const alignTables of [true, false]) {
          const html = telegramHtml(root, alignTables);
          if (visibleLength(html) <= limit && !isBlank(html)) return html;
        }
      } catch {
        // A thousand nested quotes exhaust the stack; whatever the reason, the text is worth more than its markup.
      }
      return escapeHtml(text);
    },

    slack(text, limit) {
      const whole = text.replace(/\p{Surrogate}/gu, '\ufffd');
      try {
        const root = parse(whole);
        for (const alignTables of [true, false]) {
          const mrkdwn = slackMrkdwn(root, alignTables);
          if (mrkdwn.length <= limit && mrkdwn.trim() !== '') return mrkdwn;
        }
      } catch {
        // As above.
      }
      return closeFences(escapeMrkdwn(whole));
    },
  };
}

function isBlank(html: string): boolean {
  return html.replace(/<[^>]*>/g, '').trim() === '';
}

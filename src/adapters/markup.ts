/** CommonMark as each platform writes it. The parser is loaded when the first channel that needs it starts. */
import type { Root } from 'mdast';
import { discordMarkdown, escapeDiscord, inert, inertInPlace } from './markup/discord.ts';
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
  /**
   * The same as Discord's Markdown, at most `limit` UTF-16 units long, provided that `text` is, with no mention that
   * would reach anybody.
   */
  discord(text: string, limit: number): string;
}

export async function loadMarkup(): Promise<Markup> {
  const [{ fromMarkdown }, { gfm }, { gfmFromMarkdown }] = await Promise.all([
    import('mdast-util-from-markdown'),
    import('micromark-extension-gfm'),
    import('mdast-util-gfm'),
  ]);
  const extensions = [gfm({ singleTilde: false })];
  const mdastExtensions = [gfmFromMarkdown()];

  /** The first rendering that `fits`, with tables aligned or, where that takes too much room, without. */
  function render(
    text: string,
    write: (root: Root, alignTables: boolean) => string,
    fits: (shown: string) => boolean,
  ): string | undefined {
    try {
      const root = fromMarkdown(text, { extensions, mdastExtensions });
      return [true, false].map((alignTables) => write(root, alignTables)).find(fits);
    } catch {
      // A thousand nested quotes exhaust the stack; whatever the reason, the text is worth more than its markup.
      return undefined;
    }
  }

  return {
    telegram(text, limit) {
      const fits = (html: string) => visibleLength(html) <= limit && !isBlank(html.replace(/<[^>]*>/g, ''));
      return render(text, telegramHtml, fits) ?? escapeHtml(text);
    },
    discord(text, limit) {
      const fits = (shown: string) => shown.length <= limit && !isBlank(shown);
      const plain = [escapeDiscord, inert].map((write) => write(text));
      return render(text, discordMarkdown, fits) ?? plain.find(fits) ?? inertInPlace(text);
    },

    slack(text, limit) {
      const whole = text.replace(/\p{Surrogate}/gu, '\ufffd');
      const fits = (mrkdwn: string) => mrkdwn.length <= limit && mrkdwn.trim() !== '';
      return render(whole, slackMrkdwn, fits) ?? closeFences(escapeMrkdwn(whole));
    },
  };
}

/** Nothing but white space, and what takes no room. */
function isBlank(text: string): boolean {
  return /^[\s\p{Cf}\p{Cc}]*$/u.test(text);
}

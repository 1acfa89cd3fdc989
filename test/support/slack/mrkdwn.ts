/** What people see of mrkdwn, whom it calls, and whether its code blocks are whole. */

/** The text as it is shown, its signs of markup left where they are. */
export function visible(mrkdwn: string): string {
  return mrkdwn
    .replace(/<([^<>|]*)(?:\|([^<>]*))?>/g, (_, target: string, label?: string) => label ?? target)
    .replaceAll('\u200b', '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}

/** Whom a text calls. `names`: whether bare names are looked for too, as `parse` and `link_names` ask. */
export function pingsIn(mrkdwn: string, names: boolean): string[] {
  const special = /<(?:!(?:channel|here|everyone|group|subteam)\b|@[A-Z])[^<>]*>/gi;
  const addressless = mrkdwn.replace(/<[^<>|]*/g, '');
  const bare = /(?<![a-z0-9.])@(?:channel|here|everyone|group)\b/gi;
  return [...(mrkdwn.match(special) ?? []), ...(names ? (addressless.match(bare) ?? []) : [])];
}

/** Whether each code block that is opened is closed. */
export function fencesMatch(mrkdwn: string): boolean {
  return (mrkdwn.match(/`{3,}/g) ?? []).length % 2 === 0;
}

/** Whether every `&`, `<` and `>` is part of an entity, a reference or a quote. */
export function isEscaped(mrkdwn: string): boolean {
  const rest = mrkdwn.replace(/<[^<>\n]*>/g, '').replace(/^(?:> ?)+/gm, '');
  return !/[<>]|&(?!(?:amp|lt|gt);)/.test(rest);
}

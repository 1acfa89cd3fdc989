/** What people write, out of Slack's encoding: https://docs.slack.dev/messaging/formatting-message-text#escaping */

/** Who we are in the workspace. */
export interface Me {
  team: string;
  user: string;
  /** Without the `@`. */
  name: string;
}

/** Turns references into what they show, links into CommonMark, and entities into their characters. */
export function readText(text: string, me: Me): string {
  return text
    .replace(/<([^<>\n]*)>/g, (whole, inside: string) => reference(inside, me) ?? whole)
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&');
}

/** Reads a message: whether it mentions us, and its text without a mention of us at its start. */
export function readAddress(text: string, me: Me): { mentioned: boolean; text: string } {
  const mention = `<@${me.user}(?:\\|[^<>]*)?>`;
  const rest = text.replace(new RegExp(`^\\s*${mention}\\s*[,:]?\\s*`), '');
  return { mentioned: new RegExp(mention).test(text), text: readText(rest, me) };
}

function reference(inside: string, me: Me): string | undefined {
  const bar = inside.indexOf('|');
  const target = bar === -1 ? inside : inside.slice(0, bar);
  const label = bar === -1 ? '' : inside.slice(bar + 1);
  const rest = target.slice(1);
  switch (target[0]) {
    case '@':
      return `@${label || (rest === me.user ? me.name : rest)}`;
    case '#':
      return `#${label || rest}`;
    case '!':
      return label ? label.replace(/^@?/, rest.startsWith('date') ? '' : '@') : `@${rest.split('^')[0]}`;
  }
  if (!/^[a-z][a-z0-9+.-]*:/i.test(target)) return undefined;
  const address = target.replace(/^mailto:/, '');
  return label === '' || label === target || label === address ? address : `[${label}](${target})`;
}

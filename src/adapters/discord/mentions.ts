/** Discord's own forms for people, roles, rooms, emoji, times and commands, as people read them. */

export interface Names {
  person(id: string): string | undefined;
  role(id: string): string | undefined;
  room(id: string): string | undefined;
}

export function readable(content: string, names: Names): string {
  return content
    .replace(/<@!?(\d{1,20})>/g, (_, id: string) => `@${names.person(id) ?? id}`)
    .replace(/<@&(\d{1,20})>/g, (_, id: string) => `@${names.role(id) ?? id}`)
    .replace(/<#(\d{1,20})>/g, (_, id: string) => `#${names.room(id) ?? id}`)
    .replace(/<a?(:\w{1,32}:)\d{1,20}>/g, '$1')
    .replace(/<(\/[^<>:\n]{1,100}):\d{1,20}>/g, '$1')
    .replace(/<t:(\d{1,12})(?::[a-zA-Z])?>/g, (whole: string, seconds: string) => {
      const date = new Date(Number(seconds) * 1_000);
      return Number.isNaN(date.getTime()) ? whole : date.toISOString().replace(/\.\d+Z$/, 'Z');
    });
}

/** Takes a mention at the start of a text away, with the comma or colon after it. `isUs` tells whose it is. */
export function withoutLeading(content: string, isUs: (id: string) => boolean): string {
  const found = /^\s*<@[!&]?(\d{1,20})>[,:]?\s*/.exec(content);
  return found?.[1] !== undefined && isUs(found[1]) ? content.slice(found[0].length) : content;
}

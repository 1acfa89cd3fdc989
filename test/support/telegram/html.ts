/** Telegram's HTML, read as strictly as Telegram reads it, and as strictly as its documentation forbids nesting. */

export interface Entity {
  type: string;
  offset: number;
  length: number;
}

interface OpenTag {
  name: string;
  type: string;
  offset: number;
}

const TYPES: Record<string, string> = {
  b: 'bold',
  strong: 'bold',
  i: 'italic',
  em: 'italic',
  u: 'underline',
  ins: 'underline',
  s: 'strikethrough',
  strike: 'strikethrough',
  del: 'strikethrough',
  'tg-spoiler': 'spoiler',
  a: 'text_link',
  code: 'code',
  pre: 'pre',
  blockquote: 'blockquote',
};

const TAG = /<(\/?)([a-z][a-z0-9-]*)((?:\s+[a-z-]+(?:\s*=\s*"[^"]*")?)*)\s*>/iy;
const ENTITY = /&(?:(lt|gt|amp|quot)|#(\d+)|#x([0-9a-f]+));/iy;
const NAMED: Record<string, string> = { lt: '<', gt: '>', amp: '&', quot: '"' };

/** Returns the text that is shown, and its entities. Throws what the Bot API would answer. */
export function parseTelegramHtml(html: string): { text: string; entities: Entity[] } {
  let text = '';
  const open: OpenTag[] = [];
  const entities: Entity[] = [];
  for (let i = 0; i < html.length; ) {
    if (html[i] === '<') {
      TAG.lastIndex = i;
      const match = TAG.exec(html);
      if (!match) throw cannotParse(`Unsupported start tag at byte offset ${byteOffset(html, i)}`);
      const [whole, slash, rawName = '', attributes = ''] = match;
      const name = rawName.toLowerCase();
      i += whole.length;
      if (slash === '/') {
        const tag = open.pop();
        if (tag?.name !== name) {
          throw cannotParse(
            `Unmatched end tag at byte offset ${byteOffset(html, i)}, expected "</${tag?.name ?? ''}>"`,
          );
        }
        if (text.length > tag.offset) {
          entities.push({ type: tag.type, offset: tag.offset, length: text.length - tag.offset });
        }
      } else {
        const type = TYPES[name];
        if (!type) throw cannotParse(`Unsupported start tag "${name}" at byte offset ${byteOffset(html, i)}`);
        checkNesting(name, type, attributes, open);
        open.push({ name, type, offset: text.length });
      }
    } else if (html[i] === '&') {
      ENTITY.lastIndex = i;
      const match = ENTITY.exec(html);
      if (match) {
        const [whole, name, decimal, hex] = match;
        text += name
          ? (NAMED[name.toLowerCase()] ?? '')
          : String.fromCodePoint(decimal ? Number(decimal) : Number.parseInt(hex ?? '', 16));
        i += whole.length;
      } else {
        text += '&';
        i++;
      }
    } else {
      text += html[i];
      i++;
    }
  }
  const unclosed = open.at(-1);
  if (unclosed) throw cannotParse(`Can't find end tag corresponding to start tag "${unclosed.name}"`);
  return { text, entities };
}

/** What the documentation forbids, though the server may bear it. */
function checkNesting(name: string, type: string, attributes: string, open: readonly OpenTag[]): void {
  const around = open.map((tag) => tag.type);
  const language =
    name === 'code' && open.at(-1)?.name === 'pre' && /class="language-[^"]*"/.test(attributes);
  if (attributes !== '' && name !== 'a' && name !== 'blockquote' && !language) {
    throw cannotParse(`Unexpected attributes of "${name}"`);
  }
  if (name === 'a' && !/^\s+href="[^"<>]+"$/.test(attributes)) throw cannotParse('A link needs an address');
  if (around.includes('code') || (around.includes('pre') && !language)) {
    throw cannotParse(`"${name}" within code`);
  }
  if (name === 'pre' && around.length > 0) throw cannotParse('"pre" within another tag');
  if (name === 'code' && !language && around.some((other) => other !== 'blockquote')) {
    throw cannotParse('"code" within another tag');
  }
  if ((type === 'text_link' || type === 'blockquote') && around.includes(type)) {
    throw cannotParse(`nested "${name}"`);
  }
}

function cannotParse(reason: string): Error {
  return new Error(`Bad Request: can't parse entities: ${reason}`);
}

function byteOffset(html: string, index: number): number {
  return Buffer.byteLength(html.slice(0, index));
}

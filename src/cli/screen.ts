/** Shows replies that grow. On a terminal as they grow, elsewhere when they are complete. */
import type { WriteStream } from 'node:tty';
import type { TerminalFrame } from '../control.ts';

type ReplyFrame = Extract<TerminalFrame, { type: 'reply' }>;

export interface Screen {
  show(frame: ReplyFrame): void;
}

export function createScreen(output: WriteStream): Screen {
  let current = '';
  let shown = '';

  function grow(text: string): void {
    if (text.startsWith(shown)) {
      output.write(text.slice(shown.length));
    } else {
      // Progress that its answer replaces is one short line; anything longer stays, and the new text follows it.
      const replaceable = !shown.includes('\n') && shown.length < output.columns;
      output.write(replaceable ? `\r\u001b[K${text}` : `\n\n${text}`);
    }
    shown = text;
  }

  return {
    show({ id, text: said, final, options }) {
      const text = options ? `${said} [${options.join(' / ')}]` : said;
      if (id !== current) {
        current = id;
        shown = '';
        if (output.isTTY) output.write('\r\u001b[K');
      }
      if (output.isTTY) grow(printable(text));
      else if (final) output.write(printable(text));
      if (!final) return;
      output.write('\n');
      current = '';
    },
  };
}

/** Without control characters: what a model writes must not steer the terminal. */
function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '');
}

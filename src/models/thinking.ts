/** Takes `<think>…</think>` out of the text of models whose provider does not separate reasoning from the answer. */

const TAGS = [
  { open: '<think>', close: '</think>' },
  { open: '<thinking>', close: '</thinking>' },
] as const;

export interface ThinkFilter {
  /** What of the answer became certain with this delta; empty while it reasons. */
  push(delta: string): string;
  /** What was held back at the end of the stream. */
  flush(): string;
}

/**
 * Reasoning is recognised where models write it: at the very start of the answer, several blocks in a row included.
 * Further on the tags are text, as in an answer about XML. A block that never closes is reasoning to its end.
 */
export function createThinkFilter(): ThinkFilter {
  let state: 'start' | 'thinking' | 'answer' = 'start';
  let close = '';
  let held = '';
  let thought = false;

  function answer(): string {
    state = 'answer';
    const text = thought ? held.replace(/^\s+/, '') : held;
    held = '';
    return text;
  }

  return {
    push(delta) {
      if (state === 'answer') return delta;
      held += delta;
      for (;;) {
        if (state === 'thinking') {
          const end = held.indexOf(close);
          if (end < 0) {
            held = held.slice(-(close.length - 1));
            return '';
          }
          held = held.slice(end + close.length);
          state = 'start';
        }
        const start = held.trimStart();
        const tag = TAGS.find(({ open }) => start.startsWith(open));
        if (tag) {
          ({ close } = tag);
          held = start.slice(tag.open.length);
          thought = true;
          state = 'thinking';
        } else if (TAGS.some(({ open }) => open.startsWith(start))) {
          return '';
        } else {
          return answer();
        }
      }
    },
    flush: () => (state === 'start' ? answer() : ''),
  };
}

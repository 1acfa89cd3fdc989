import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { chunk } from '../src/adapters/chunk.ts';
import { visibleLength } from '../src/adapters/markup/telegram.ts';
import { loadMarkup, type Markup } from '../src/adapters/markup.ts';
import { splitMrkdwn } from '../src/adapters/slack/blocks.ts';
import { FULL, markdown } from './support/arbitraries.ts';
import { fencesMatch, isEscaped, pingsIn } from './support/slack/mrkdwn.ts';
import { parseTelegramHtml } from './support/telegram/html.ts';

const LIMIT = 4_096;
let markup: Markup;

beforeAll(async () => {
  markup = await loadMarkup();
});

const html = (text: string): string => markup.telegram(text, LIMIT);
const shown = (text: string): string => parseTelegramHtml(html(text)).text;

describe('the strict parser of the stand-in', () => {
  test.each([
    'a < b',
    '<b>x',
    'x</b>',
    '<b><i>x</b></i>',
    '<p>x</p>',
    '<code><b>x</b></code>',
    '<b><code>x</code></b>',
  ])('refuses %s', (bad) => {
    expect(() => parseTelegramHtml(bad)).toThrow("can't parse entities");
  });

  test('counts in UTF-16 units what is shown', () => {
    const { text, entities } = parseTelegramHtml('<b>😀&lt;</b> &amp; &#128512;&bogus;');
    expect(text).toBe('😀< & 😀&bogus;');
    expect(entities).toEqual([{ type: 'bold', offset: 0, length: 3 }]);
  });
});

describe('Telegram', () => {
  test.each([
    ['plain text', 'plain text'],
    ['**bold** *italic* ~~struck~~ `code`', '<b>bold</b> <i>italic</i> <s>struck</s> <code>code</code>'],
    ['***both** one*', '<b><i>both</i></b><i> one</i>'],
    ['~5 to ~10', '~5 to ~10'],
    ['# Heading with *style*', '<b>Heading with <i>style</i></b>'],
    [
      '[text](https://example.org/?a=1&b="2")',
      '<a href="https://example.org/?a=1&amp;b=&quot;2&quot;">text</a>',
    ],
    ['[**bold** `code`](https://example.org)', '<a href="https://example.org"><b>bold</b> code</a>'],
    ['![alt](https://example.org/i.png)', '<a href="https://example.org/i.png">alt</a>'],
    ['**bold `code` bold**', '<b>bold </b><code>code</code><b> bold</b>'],
    ['[run](javascript:alert(1))', 'run (javascript:alert(1))'],
    ['[file](./notes.md)', 'file (./notes.md)'],
    ['[user](tg://user?id=1)', '<a href="tg://user?id=1">user</a>'],
    ['[a][1]\n\n[1]: https://example.org', '<a href="https://example.org">a</a>'],
    ['[1]: https://example.org', '[1]: https://example.org'],
    ['2 < 3 && <b onclick="x">raw</b>', '2 &lt; 3 &amp;&amp; &lt;b onclick="x"&gt;raw&lt;/b&gt;'],
    ['<script>alert(1)</script>', '&lt;script&gt;alert(1)&lt;/script&gt;'],
    ['one<br>two', 'one\ntwo'],
    ['one\ntwo  \nthree', 'one\ntwo\nthree'],
    ['one\n\n\n\ntwo', 'one\n\ntwo'],
    ['---', '———'],
    ['- a\n- b\n  1. c\n  2. d', '• a\n• b\n  1. c\n  2. d'],
    ['7. a\n7. b', '7. a\n8. b'],
    ['- [x] done\n- [ ] open', '• ☑ done\n• ☐ open'],
    ['- a\n\n  b\n- c', '• a\n\n  b\n• c'],
    ['> quote\n> > deeper', '<blockquote>quote\ndeeper</blockquote>'],
    ['```js\na < b\n```', '<pre><code class="language-js">a &lt; b</code></pre>'],
    ['```\nplain\n```', '<pre>plain</pre>'],
    ['```js"x\ny\n```', '<pre><code class="language-js&quot;x">y</code></pre>'],
    ['- a\n  ```\n  code\n  ```\n  b', '• a\n<pre>code</pre>\n  b'],
    [
      '> a\n> ```\n> code\n> ```\n> b',
      '<blockquote>a</blockquote>\n<pre>code</pre>\n<blockquote>b</blockquote>',
    ],
    ['note[^1]\n\n[^1]: a *note*', 'note[1]\n\n[1] a <i>note</i>'],
  ])('%j', (text, expected) => {
    expect(html(text)).toBe(expected);
    parseTelegramHtml(html(text));
  });

  test('aligns tables for a font of one width', () => {
    expect(html('| item | n |\n|:--|--:|\n| tea | 12 |\n| 漢字 | **3** |')).toBe(
      '<pre>item |  n\n-----+---\ntea  | 12\n漢字 |  3</pre>',
    );
  });

  test('leaves tables unaligned where alignment would burst the message', () => {
    const rows = `| ${'w'.repeat(1_500)} |\n|---|\n${'| a |\n'.repeat(400)}`;
    expect(rows.length).toBeLessThan(LIMIT);
    expect(visibleLength(html(rows))).toBeLessThanOrEqual(LIMIT);
    expect(html(rows)).toContain('<pre>');
  });

  test('shows as it is what has no visible form, and what is nested beyond reason', () => {
    expect(shown('```js\n```')).toBe('```js\n```');
    const deep = `${'>'.repeat(3_000)} deep`;
    expect(shown(deep)).toContain('deep');
  });

  test('any text: accepted, within the limit, visible, and counted as the platform counts', () => {
    fc.assert(
      fc.property(markdown, (text) => {
        for (const piece of chunk(text, LIMIT)) {
          const rendered = html(piece.text);
          const parsed = parseTelegramHtml(rendered);
          expect(parsed.text.length).toBeLessThanOrEqual(LIMIT);
          expect(visibleLength(rendered)).toBe(parsed.text.length);
          expect(parsed.text.trim() === '').toBe(text.trim() === '');
        }
      }),
      { numRuns: FULL ? 5_000 : 300 },
    );
  });

  test('any text that is cut small: every piece by itself is accepted', () => {
    fc.assert(
      fc.property(markdown, fc.integer({ min: 16, max: 300 }), (text, limit) => {
        for (const piece of chunk(text, limit)) {
          expect(parseTelegramHtml(markup.telegram(piece.text, limit)).text.length).toBeLessThanOrEqual(
            limit,
          );
        }
      }),
      { numRuns: FULL ? 5_000 : 200 },
    );
  });

  test('lines of 64 KiB of anything', () => {
    const units = [
      'x',
      '😀',
      'word ',
      '**b** ',
      '`',
      '[',
      '[a](https://b.c) ',
      '<',
      '&',
      '> ',
      '- ',
      '|',
      'ש',
      '_a_',
    ];
    for (const unit of FULL ? units : units.slice(0, 8)) {
      const text = unit.repeat(65_536 / unit.length);
      for (const piece of chunk(text, LIMIT)) {
        expect(parseTelegramHtml(html(piece.text)).text.length).toBeLessThanOrEqual(LIMIT);
      }
    }
  });

  test('every word of ordinary prose is still there', () => {
    fc.assert(
      fc.property(fc.lorem({ maxCount: 400 }), (text) => {
        const words = chunk(text, 200).flatMap((piece) => shown(piece.text).split(/\s+/));
        expect(words).toEqual(text.split(/\s+/));
      }),
      { numRuns: FULL ? 500 : 30 },
    );
  });
});

describe('Slack', () => {
  const SLACK_LIMIT = 4_000;
  const mrkdwn = (text: string): string => markup.slack(text, SLACK_LIMIT);
  const pieces = (text: string): string[] => splitMrkdwn(text, SLACK_LIMIT);

  test.each([
    ['plain text', 'plain text'],
    ['**bold** *italic* ~~struck~~ `code`', '*bold* _italic_ ~struck~ `code`'],
    ['***both** one*', '*_both_* _one_'],
    ['# Heading with *style*', '*Heading with* *_style_*'],
    ['**one\ntwo**', '*one*\n*two*'],
    ['un**frigging**believable', 'un\u200b*frigging*\u200bbelievable'],
    ['**bold**_x_', '*bold*\u200b_x_'],
    ['**bold `code` bold**', '*bold* `code` *bold*'],
    ['``a`b``', 'a`b'],
    ['[text](https://example.org/?a=1&b=<2>)', '<https://example.org/?a=1&amp;b=%3C2%3E|text>'],
    ['[**b** `c`](https://example.org)', '<https://example.org|b c>'],
    ['**[b](https://example.org)**', '*<https://example.org|b>*'],
    ['<https://example.org/a|b>', '<https://example.org/a%7Cb>'],
    ['![alt](https://example.org/i.png)', '<https://example.org/i.png|alt>'],
    ['[run](javascript:alert(1))', 'run (javascript:alert(1))'],
    ['2 < 3 && <b>raw</b>', '2 &lt; 3 &amp;&amp; &lt;b&gt;raw&lt;/b&gt;'],
    ['<!channel> <@U123> &lt;!here>', '&lt;!channel&gt; &lt;@U123&gt; &amp;lt;!here&gt;'],
    ['@here and @Everyone', '@\u200bhere and @\u200bEveryone'],
    ['me@here.org', '<mailto:me@here.org|me@here.org>'],
    ['`@here`', '`@here`'],
    ['- a\n- b\n  1. c\n  2. d', '• a\n• b\n  1. c\n  2. d'],
    ['- [x] done\n- [ ] open', '• ☑ done\n• ☐ open'],
    ['> quote\n> > deeper', '> quote\n> deeper'],
    ['> a\n> ```\n> code\n> ```', '> a\n```\ncode\n```'],
    ['```js\na < b\n```', '```\na &lt; b\n```'],
    ['````\n```\n````', '```\n``\u200b`\n```'],
    ['\\`\\`\\` none', '``\u200b` none'],
    ['```js\n```', '```js\n```'],
    ['| item | n |\n|:--|--:|\n| tea | 12 |', '```\nitem |  n\n-----+---\ntea  | 12\n```'],
    ['half \ud83d pair', 'half \ufffd pair'],
  ])('%j', (text, expected) => {
    expect(mrkdwn(text)).toBe(expected);
  });

  test('any text: within the limit, visible, escaped, whole, and calling nobody', () => {
    const names = fc.constantFrom(
      '<!channel>',
      '<@U123>',
      '@here ',
      '<!subteam^S1|x>',
      '&',
      '<',
      '`',
      '~~~\n',
    );
    const text = fc
      .array(fc.oneof(markdown, names), { maxLength: 30 })
      .chain((parts) => fc.constantFrom(1, 20).map((times) => parts.join('').repeat(times)));
    fc.assert(
      fc.property(text, (written) => {
        for (const piece of pieces(written)) {
          const rendered = mrkdwn(piece);
          expect(rendered.length).toBeLessThanOrEqual(SLACK_LIMIT);
          expect(rendered.trim()).not.toBe('');
          expect(fencesMatch(rendered)).toBe(true);
          expect(isEscaped(rendered)).toBe(true);
          expect(pingsIn(rendered, false)).toEqual([]);
          // A backtick that stands alone blurs where code begins.
          if (!written.includes('`')) expect(pingsIn(withoutCode(rendered), true)).toEqual([]);
          expect(rendered).not.toMatch(/\p{Surrogate}/u);
        }
      }),
      { numRuns: FULL ? 3_000 : 150 },
    );
  });

  test('texts of 64 KiB of anything', () => {
    for (const unit of [
      'x',
      '😀',
      '& ',
      '<',
      '@here ',
      '**b** ',
      'a**b**c',
      '`',
      '[a](https://b.c) ',
      '> <\n',
      '|',
    ]) {
      for (const piece of pieces(unit.repeat(65_536 / unit.length))) {
        expect(mrkdwn(piece).length).toBeLessThanOrEqual(SLACK_LIMIT);
      }
    }
  });

  test('a text that grows changes only its last piece, however much of it is escaped', () => {
    fc.assert(
      fc.property(markdown, markdown, (text, more) => {
        const start = `${text}${'<&> '.repeat(500)}`.repeat(3);
        const before = pieces(start);
        const after = pieces(start + more);
        expect(after.slice(0, before.length - 1)).toEqual(before.slice(0, -1));
      }),
      { numRuns: FULL ? 1_000 : 50 },
    );
  });

  test('every word of ordinary prose is still there', () => {
    fc.assert(
      fc.property(fc.lorem({ maxCount: 1_500 }), (text) => {
        expect(pieces(text).flatMap((piece) => mrkdwn(piece).split(/\s+/))).toEqual(text.split(/\s+/));
      }),
      { numRuns: 20 },
    );
  });
});

/** In code, where nothing is called, text can be copied as it is. */
function withoutCode(mrkdwn: string): string {
  return mrkdwn.replace(/```[\s\S]*?```/g, '');
}

describe('Discord', () => {
  const MOST = 2_000;
  const shows = (text: string): string => markup.discord(text, MOST);
  const S = '\u200b';

  test.each([
    ['plain text', 'plain text'],
    ['**bold** *italic* ~~struck~~ `code`', '**bold** *italic* ~~struck~~ `code`'],
    ['***both** one*', `**${S}*both*${S}** *one*`],
    ['**bold **x', '\\*\\*bold \\*\\*x'],
    ['a **b **c', 'a \\*\\*b \\*\\*c'],
    ['2 * 3, snake_case, 1 | 2, ~5', '2 \\* 3, snake\\_case, 1 | 2, ~5'],
    ['a || b, a ~~ b', 'a \\|\\| b, a \\~\\~ b'],
    ['# One\n## Two\n#### Four', '# One\n## Two\n**Four**'],
    ['\\# no heading\n\\- no item\n1\\. no number', '\\# no heading\n\\- no item\n1\\. no number'],
    ['- a\n- b\n  1. c', '- a\n- b\n  1. c'],
    ['- [x] done', '- ☑ done'],
    ['> quote\n> > deeper', '> quote\n> deeper'],
    ['---', '———'],
    ['[text](https://example.org/a_(b))', '[text](https://example.org/a_%28b%29)'],
    ['[a [b]](https://example.org)', '[a \\[b\\]](https://example.org)'],
    ['![alt](https://example.org/i.png)', '[alt](https://example.org/i.png)'],
    ['https://example.org/a_b', 'https://example.org/a_b'],
    ['[https://example.org](https://example.net)', 'https://example.org (https://example.net)'],
    ['[run](javascript:alert(1))', 'run (javascript:alert(1))'],
    ['[mail](mailto:me@example.org)', 'mail (mailto:me@example.org)'],
    ['2 < 3 && <b onclick="x">raw</b>', '2 < 3 && <b onclick="x">raw</b>'],
    ['@everyone, @here', `@${S}everyone, @${S}here`],
    [
      '<@1> <@!2> <@&3> <#4> <:a:5> <t:6> </x:7>',
      `<${S}@1> <${S}@!2> <${S}@&3> <${S}#4> <${S}:a:5> <${S}t:6> <${S}/x:7>`,
    ],
    [
      '\\<@1> **@everyone** [@here](https://example.org)',
      `<${S}@1> **@${S}everyone** [@${S}here](https://example.org)`,
    ],
    ['`<@1> @everyone`', '`<@1> @everyone`'],
    ['``a`b``', '``a`b``'],
    ['```js"x y\na < b\n```', '```jsx\na < b\n```'],
    ['~~~\na````b\n~~~', `\`\`\`\na\`${S}\`${S}\`\`b\n\`\`\``],
    ['- a\n  ```\n  code\n  ```\n  b', '- a\n```\ncode\n```\n  b'],
    ['| item | n |\n|:--|--:|\n| tea | 12 |', '```\nitem |  n\n-----+---\ntea  | 12\n```'],
    ['```', '\\`\\`\\`'],
  ])('%j', (text, expected) => {
    expect(shows(text)).toBe(expected);
  });

  test('any text: within the limit, visible, every fence closed, and nobody mentioned', () => {
    fc.assert(
      fc.property(markdown, fc.integer({ min: 16, max: MOST }), (text, limit) => {
        for (const piece of chunk(text, limit)) {
          const written = markup.discord(piece.text, limit);
          expect(written.length).toBeLessThanOrEqual(limit);
          if (piece.text.trim() !== '') expect(written.trim()).not.toBe('');
          const prose = written.replace(/```[\s\S]*?```|``[\s\S]*?``|`[^`\n]*`/g, '');
          expect(prose).not.toMatch(/@everyone|@here|<@[!&]?\d|<#\d/);
        }
      }),
      { numRuns: FULL ? 5_000 : 300 },
    );
  });

  test('mentions in any company', () => {
    const mention = fc.constantFrom(
      '@everyone',
      '@here',
      '<@1>',
      '<@!2>',
      '<@&3>',
      '<#4>',
      '@',
      '<',
      '<@',
      'every',
      'one',
    );
    const around = fc.constantFrom(
      '*',
      '**',
      '_',
      '`',
      '\\',
      '[',
      '](https://e.org)',
      '<br>',
      '&lt;',
      '&#64;',
      '\n',
      ' ',
      '|',
      '~~',
      '> ',
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(mention, around), { maxLength: 12 }), (parts) => {
        const written = shows(parts.join(''));
        const prose = written.replace(/```[\s\S]*?```|``[\s\S]*?``|`[^`\n]*`/g, '');
        expect(prose).not.toMatch(/@everyone|@here|<@[!&]?\d|<#\d/);
      }),
      { numRuns: FULL ? 50_000 : 3_000 },
    );
  });

  test('what would grow beyond the limit, unaligned, or as it stands', () => {
    const table = `| ${'w'.repeat(700)} | n |\n|---|---|\n${'| a | b |\n'.repeat(100)}`;
    expect(shows(table)).toMatch(/^```\nw+ \| n\na \| b\n/);
    const mentions = '<@1>'.repeat(499);
    expect(shows(mentions)).toBe('‹@1>'.repeat(499));
    expect(shows('*'.repeat(1_999)).length).toBeLessThanOrEqual(MOST);
  });

  test('lines of 64 KiB of anything', () => {
    const units = [
      'x',
      '😀',
      '**b** ',
      '`',
      '[',
      '[a](https://b.c) ',
      '<@1>',
      '@everyone',
      '> ',
      '- ',
      '|',
      '_a_',
    ];
    for (const unit of FULL ? units : units.slice(0, 8)) {
      for (const piece of chunk(unit.repeat(65_536 / unit.length), 1_900)) {
        expect(shows(piece.text).length).toBeLessThanOrEqual(MOST);
      }
    }
  });
});

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { chunk, type Piece, rejoin } from '../src/adapters/chunk.ts';
import { FULL, markdown } from './support/arbitraries.ts';

const runs = FULL ? 5_000 : 300;
const texts = (pieces: Piece[]): string[] => pieces.map((piece) => piece.text);

describe('chunk', () => {
  test('refuses a limit in which nothing could be said', () => {
    expect(() => chunk('text', 15)).toThrow(RangeError);
    expect(() => chunk('text', Number.NaN)).toThrow(RangeError);
  });

  test('leaves alone what fits', () => {
    expect(texts(chunk('Short.', 100))).toEqual(['Short.']);
    expect(chunk('', 100)).toEqual([]);
  });

  test('shows nothing for blank text', () => {
    expect(chunk(' \n\n ', 16)).toEqual([{ text: '', source: ' \n\n ' }]);
  });

  test('prefers the end of a paragraph, then of a line, of a sentence, of a word', () => {
    const words = 'aa bb. cc dd';
    expect(texts(chunk(`${words}\n\n${words} ee`, 24))).toEqual([words, `${words} ee`]);
    expect(texts(chunk(`${words}\n${words} ee`, 24))).toEqual([words, `${words} ee`]);
    expect(texts(chunk('First sentence. Second sentence.', 24))).toEqual([
      'First sentence.',
      'Second sentence.',
    ]);
    expect(texts(chunk('one two three four five', 20))).toEqual(['one two three four', 'five']);
  });

  test('does not leave a piece half empty for the sake of a paragraph', () => {
    expect(texts(chunk('Hi.\n\none two three four five', 20))).toEqual(['Hi.\n\none two three', 'four five']);
  });

  test('fills a piece to its last unit', () => {
    expect(texts(chunk(`${'x'.repeat(20)} y`, 20))).toEqual(['x'.repeat(20), 'y']);
    expect(texts(chunk(`${'x'.repeat(20)}\ny`, 20))).toEqual(['x'.repeat(20), 'y']);
  });

  test('cuts words that are longer than a message, but no grapheme', () => {
    const family = '👨‍👩‍👧‍👦';
    for (const piece of chunk(family.repeat(20), 40)) {
      expect(piece.text.length).toBeLessThanOrEqual(40);
      expect(piece.text.replaceAll(family, '')).toBe('');
    }
    expect(chunk(`${'x'.repeat(19)}😀y`, 20).map((piece) => piece.text)).toEqual(['x'.repeat(19), '😀y']);
    expect(texts(chunk('🇫🇷'.repeat(30), 42)).every((text) => text.length % 4 === 0)).toBe(true);
  });

  test('cuts scripts without spaces between letters, and closing marks stay with their sentence', () => {
    const pieces = chunk('私は猫です。名前はまだ無い。どこで生れたか見当がつかぬ。', 20);
    expect(texts(pieces)).toEqual(['私は猫です。名前はまだ無い。', 'どこで生れたか見当がつかぬ。']);
  });

  test('closes a fence that it cuts, and opens it again with the same info string', () => {
    const code = Array.from({ length: 8 }, (_, i) => `line ${i}`).join('\n');
    const pieces = chunk(`\`\`\`python title="a"\n${code}\n\`\`\`\nDone.`, 78);
    expect(texts(pieces)).toEqual([
      `\`\`\`python title="a"\n${code.slice(0, 48)}\n\`\`\``,
      '```python title="a"\nline 7\n```\nDone.',
    ]);
  });

  test('closes a fence with as many marks as it was opened with, so that a shorter one may stand within', () => {
    const pieces = chunk(`~~~~\n${'~~~\n'.repeat(20)}~~~~`, 40);
    for (const { text } of pieces) expect(text).toMatch(/^~~~~\n(~~~\n)+~~~~$/);
  });

  test('keeps a fence in the quote or the list that it stands in', () => {
    const quoted = chunk(`> \`\`\`js\n${'> code();\n'.repeat(20)}> \`\`\``, 60);
    expect(quoted.length).toBeGreaterThan(2);
    for (const { text } of quoted) expect(text).toMatch(/^> ```js\n(> code\(\);\n)+> ```$/);
    const listed = chunk(`1. Run\n   \`\`\`sh\n${'   make\n'.repeat(20)}   \`\`\`\n2. Done`, 60);
    expect(listed[0]?.text).toMatch(/^1\. Run\n {3}```sh\n( {3}make\n)+ {3}```$/);
    expect(listed[1]?.text).toMatch(/^ {3}```sh\n( {3}make\n)+ {3}```$/);
    expect(listed.at(-1)?.text).toMatch(/2\. Done$/);
  });

  test('leaves a fence that was never closed as it is, but for its cuts', () => {
    const pieces = chunk(`\`\`\`\n${'code\n'.repeat(10)}`, 40);
    expect(pieces.slice(0, -1).every((piece) => piece.text.endsWith('code\n```'))).toBe(true);
    expect(pieces.at(-1)?.text).toMatch(/^```\n(code\n)*code$/);
  });

  test('keeps the indentation of code at a cut', () => {
    const pieces = chunk(`\`\`\`\n${'    deep\n'.repeat(9)}\`\`\``, 40);
    for (const { text } of pieces) expect(text).toMatch(/^```\n( {4}deep\n)+```$/);
  });

  test('never leaves a fence with nothing in it', () => {
    for (let limit = 32; limit < 64; limit++) {
      for (const { text } of chunk(`Intro text.\n\`\`\`js\n${'ab();\n'.repeat(30)}\`\`\``, limit)) {
        expect(text).not.toMatch(/```js\n*```/);
      }
    }
  });

  test.each([
    '[a link](https://example.org/some/path)',
    '`some inline code`',
    '![alt text](https://example.org/i.png)',
    '[text][reference]',
  ])('never cuts %s', (construct) => {
    for (let before = 0; before < 90; before++) {
      const text = `${'word '.repeat(before).slice(0, before)}${construct} ${'and so on '.repeat(20)}`;
      const holding = chunk(text, 90).filter((piece) => piece.text.includes(construct));
      expect(holding).toHaveLength(1);
    }
  });

  test('is not led astray by a bracket or a backtick that nothing closes', () => {
    for (const mark of ['[', '`', '](', '![']) {
      const pieces = chunk(`${mark}${'word '.repeat(4_000)}`, 1_000);
      expect(pieces.length).toBeLessThan(30);
    }
  });

  test('does not turn text into a list, a quote or a heading by cutting before its sign', () => {
    for (const sign of ['-', '>', '#', '1.']) {
      const pieces = chunk(`aaaa bbbb cccc ${sign} dddd eeee ffff`, 20);
      for (const { text } of pieces) expect(text.startsWith(`${sign} `)).toBe(false);
    }
  });

  test('takes long texts of any kind in about linear time', () => {
    const size = FULL ? 4_000_000 : 400_000;
    for (const unit of [
      'x',
      '[',
      '`',
      '](',
      '> ',
      '\n',
      '- a\n',
      '```\n',
      '😀',
      'word ',
      '[a](b) ',
      '\\',
      ' ',
      '\u0301',
    ]) {
      const text = unit.repeat(size / unit.length);
      expect(rejoin(chunk(text, 4_096))).toBe(text);
    }
  });

  test('any text: pieces fit, join to the original, and add nothing but the lines of fences', () => {
    fc.assert(
      fc.property(markdown, fc.integer({ min: 16, max: 400 }), (text, limit) => {
        const pieces = chunk(text, limit);
        expect(rejoin(pieces)).toBe(text);
        expect(pieces.flatMap((piece) => halfPairs(piece.text))).toEqual(halfPairs(text));
        for (const [i, piece] of pieces.entries()) {
          expect(piece.text.length).toBeLessThanOrEqual(limit);
          expect(piece.text.trim() === '').toBe(text.trim() === '');
          expectOnlyFenceLinesAdded(piece, i, pieces.length);
        }
      }),
      { numRuns: runs },
    );
  });

  test('any text that is weighed: no piece weighs more than the limit', () => {
    const weigh = (text: string): number => text.length + 3 * (text.match(/[<>&]/g)?.length ?? 0);
    const heavy = fc.array(fc.oneof(markdown, fc.constantFrom('<<<<', '> ', '&&&', '> ```\n> x\n')), {
      maxLength: 10,
    });
    fc.assert(
      fc.property(heavy, fc.integer({ min: 64, max: 400 }), (parts, limit) => {
        const text = parts.join('');
        const pieces = chunk(text, limit, weigh);
        expect(rejoin(pieces)).toBe(text);
        for (const piece of pieces) expect(weigh(piece.text)).toBeLessThanOrEqual(limit);
      }),
      { numRuns: runs },
    );
  });

  test('any text that grows changes only its last piece', () => {
    fc.assert(
      fc.property(markdown, markdown, fc.integer({ min: 16, max: 200 }), (text, more, limit) => {
        const before = texts(chunk(text, limit));
        const after = texts(chunk(text + more, limit));
        expect(after.slice(0, Math.max(0, before.length - 1))).toEqual(before.slice(0, -1));
        expect(after.length).toBeGreaterThanOrEqual(before.length);
      }),
      { numRuns: runs },
    );
  });

  test('a text that arrives unit by unit never takes back a piece', () => {
    const text =
      'Intro with [a link](https://example.org/x) and `code`.\n\n```ts\nconst a = 1;\n```\n- one\n- two 😀\n\n| a | b |\n|---|---|\n| 1 | 2 |\n'.repeat(
        4,
      );
    let before: string[] = [];
    for (let end = 1; end <= text.length; end++) {
      if (/[\ud800-\udbff]$/.test(text.slice(0, end))) continue;
      const now = texts(chunk(text.slice(0, end), 96)).filter((piece) => piece !== '');
      expect(now.slice(0, Math.max(0, before.length - 1))).toEqual(before.slice(0, -1));
      before = now;
    }
    expect(before.length).toBeGreaterThan(4);
  });
});

function halfPairs(text: string): string[] {
  return [...text].filter((point) => point.length === 1 && /[\ud800-\udfff]/.test(point));
}

/** What is shown but not in the source is one opening line before it, one closing line after it, or neither. */
function expectOnlyFenceLinesAdded(piece: Piece, index: number, count: number): void {
  const opening = index > 0 ? /^(?:[> ]*(?:`{3,}|~{3,})[^\n]*\n[> ]*)?\s*$/ : /^$/;
  const closing = index < count - 1 ? /^(?:\s*\n[> ]*(?:`{3,}|~{3,}))?$/ : /^$/;
  const body = piece.source.trim();
  // A short source may also occur within the lines that were added.
  const places = Array.from({ length: piece.text.length + 1 }, (_, i) => i).filter((place) =>
    piece.text.startsWith(body, place),
  );
  const explained = places.some(
    (place) =>
      opening.test(piece.text.slice(0, place).replace(/^\s+$/, '')) &&
      closing.test(piece.text.slice(place + body.length)),
  );
  expect(explained, JSON.stringify(piece)).toBe(true);
}

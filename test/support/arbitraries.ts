/** Generators for property tests, and how many runs they get: few by default, many with KIMI_FULL=1. */
import fc from 'fast-check';

export const FULL = process.env.KIMI_FULL === '1';

const constructs = [
  '```js\nconst a = 1;\n\n  b();\n```\n',
  '```\n',
  '~~~~ info\n~~~\n~~~~\n',
  '> ```py\n> x = 1\n> ```\n',
  '- ```sh\n  ls\n  ```\n',
  '`',
  '``code``',
  '`a <b> & c`',
  '[text](https://example.org/a_b?c=d&e=f)',
  '[text](<https://example.org/with space> "title")',
  '[`code`](https://example.org)',
  '[run](javascript:alert(1))',
  '![alt](https://example.org/i.png)',
  '[ref]: https://example.org\n',
  '[ref]',
  '[',
  '](',
  '**bold *both* **',
  '~~struck~~',
  '***',
  '__',
  '# Heading\n',
  'Title\n===\n',
  '- item\n  - nested\n',
  '3) third\n',
  '- [x] done\n',
  '> quote\n> > nested\n',
  '| a | b |\n|---|:-:|\n| *1* | `2|` |\n',
  '---\n',
  '<b onclick="x">html</b>',
  '<br>',
  '<!-- comment -->',
  '&lt;&copy;&#128512;&bogus;',
  'https://example.org/path_(x)',
  'me@example.org',
  '[^1]',
  '[^1]: note\n',
  '\\*',
  '    indented\n',
  '\t',
  '\r\n',
  '\n\n',
  'שלום עולם ',
  'مرحبا \u202eabc\u202c ',
  '👩‍💻🏳️‍🌈🇩🇪',
  'e\u0301\u0302',
  '漢字かな。',
  'A sentence. Another one! ',
  '\u0000\u200b\ufeff',
  '\ud83d',
  '\ude00',
];

const part = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...constructs) },
  { weight: 3, arbitrary: fc.lorem({ maxCount: 12 }).map((text) => `${text} `) },
  { weight: 2, arbitrary: fc.string({ unit: 'grapheme', maxLength: 20 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 10 }) },
  { weight: 1, arbitrary: fc.constantFrom('x', '😀', '| ', 'ab ').map((unit) => unit.repeat(120)) },
);

/** Text as models write it and as nobody should: Markdown of every kind, cut anywhere, in many scripts. */
export const markdown: fc.Arbitrary<string> = fc
  .array(part, { maxLength: 40 })
  .map((parts) => parts.join(''));

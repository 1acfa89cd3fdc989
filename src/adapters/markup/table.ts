/** Tables in plain text, for platforms that have none: columns aligned for a font of one width. */
import type { AlignType } from 'mdast';

const MARK = /\p{M}|\p{Cf}/u;
const WIDE =
  /\p{Emoji_Presentation}|\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Hangul}|[\u3000-\u303f\uff01-\uff60]/u;

/** The columns that a text takes up: two for East Asian letters and emoji, none for combining marks. */
function columnsOf(text: string): number {
  let columns = 0;
  for (const point of text) columns += MARK.test(point) ? 0 : WIDE.test(point) ? 2 : 1;
  return columns;
}

function pad(text: string, width: number, align: AlignType | undefined): string {
  const space = width - columnsOf(text);
  const left = align === 'right' ? space : align === 'center' ? Math.floor(space / 2) : 0;
  return ' '.repeat(left) + text + ' '.repeat(space - left);
}

/** Rows of cells, the first of them the header, as lines. Without `aligned` it takes no more room than its cells. */
export function textTable(
  rows: readonly (readonly string[])[],
  align: readonly AlignType[],
  aligned: boolean,
): string {
  if (!aligned) return rows.map((row) => row.join(' | ')).join('\n');
  const count = Math.max(...rows.map((row) => row.length));
  const widths = Array.from({ length: count }, (_, column) =>
    Math.max(...rows.map((row) => columnsOf(row[column] ?? ''))),
  );
  const lines = rows.map((row) =>
    widths
      .map((width, column) => pad(row[column] ?? '', width, align[column]))
      .join(' | ')
      .trimEnd(),
  );
  lines.splice(1, 0, widths.map((width) => '-'.repeat(width)).join('-+-'));
  return lines.join('\n');
}

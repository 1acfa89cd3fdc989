/** Code fences, line by line: enough of CommonMark to know whether a place in a text lies within one. */

/** A fence that is open. */
export interface Fence {
  /** What stands before its lines: indentation and the `>` of quotes around it. */
  readonly lead: string;
  /** The backticks or tildes that opened it. */
  readonly marker: string;
  readonly info: string;
  /** Opened on the line of a list item: a line with less indentation than this ends the item, and the fence. */
  readonly itemIndent: number;
}

const OPENING = /^((?:[ \t]|>|[-*+][ \t]+|\d{1,9}[.)][ \t]+)*)(`{3,}|~{3,})([^\r\n]*)\r?$/;
const CLOSING = /^([ \t>]*)(`{3,}|~{3,})[ \t]*\r?$/;
const LIST_MARKER = /[-*+]|\d+[.)]/g;

/** Reads a line as the opening of a fence. One longer than `longest` is taken for text: it could not be repeated. */
function opening(line: string, longest: number): Fence | undefined {
  if (line.length > longest) return undefined;
  const match = OPENING.exec(line);
  if (!match) return undefined;
  const [, prefix = '', marker = '', info = ''] = match;
  if (marker.startsWith('`') && info.includes('`')) return undefined;
  const lead = prefix.replace(LIST_MARKER, (found) => ' '.repeat(found.length));
  return { lead, marker, info: info.trim(), itemIndent: lead === prefix ? 0 : lead.length };
}

function closes(line: string, fence: Fence): boolean {
  const match = CLOSING.exec(line);
  if (!match) return false;
  const [, lead = '', marker = ''] = match;
  return (
    marker[0] === fence.marker[0] &&
    marker.length >= fence.marker.length &&
    lead.length <= fence.lead.length + 3
  );
}

/** Whether a line without the quote or the indentation around the fence has left both. */
function leaves(line: string, fence: Fence): boolean {
  if (fence.lead.includes('>')) return !line.trimStart().startsWith('>');
  const indent = line.length - line.trimStart().length;
  return fence.itemIndent > 0 && line.trim() !== '' && indent < fence.itemIndent;
}

export type LineRole = 'text' | 'open' | 'code' | 'close';

/** What a line is, given the fence that is open before it, and the fence that is open after it. */
export function readLine(
  line: string,
  before: Fence | undefined,
  longest: number,
): { role: LineRole; after: Fence | undefined } {
  if (before && !leaves(line, before)) {
    return closes(line, before) ? { role: 'close', after: undefined } : { role: 'code', after: before };
  }
  const after = opening(line, longest);
  return { role: after ? 'open' : 'text', after };
}

/** The fence as it is opened again outside the list it may have stood in, where four spaces would make it plain code. */
export function reopened(fence: Fence): Fence {
  return { ...fence, lead: fence.lead.replace(/[ \t]*\t[ \t]*| {4,}/g, '   '), itemIndent: 0 };
}

export const openingLine = (fence: Fence): string => fence.lead + fence.marker + fence.info;

export const closingLine = (fence: Fence): string => fence.lead + fence.marker;

/** YAML into plain values, remembering where in the file each one stands. */
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import type { Path } from './guide.ts';

export interface Problem {
  /** Where in the source, in UTF-16 units. */
  offset: number;
  path: Path;
  text: string;
}

export interface YamlDocument {
  /** Empty sections (null) are left out, so that a section whose keys are all commented out is no section. */
  value: unknown;
  problems: Problem[];
  /** Where the value at this path stands, or the nearest section that holds it. */
  valueAt(path: Path): number;
  /** Where the key of this path stands. */
  keyAt(path: Path): number;
  /** The value as it is written, for messages; undefined for sections and lists. */
  written(path: Path): string | undefined;
  position(offset: number): { line: number; column: number };
}

/** What a text becomes; undefined leaves its key out. */
export type ReadText = (text: string, path: Path, offset: number) => unknown;

/** Reads one YAML 1.2 document. Never throws: what is wrong with it is in `problems`. */
export function readYaml(source: string, readText: ReadText): YamlDocument {
  const lines = new LineCounter();
  const document = parseDocument(source, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    uniqueKeys: false,
  });
  const problems: Problem[] = [];
  const places = new Map<string, { key: number; value: number; written?: string }>();

  const read = (node: Node | null | undefined, path: Path, keyOffset: number): unknown => {
    const offset = node?.range?.[0] ?? keyOffset;
    const place: { key: number; value: number; written?: string } = { key: keyOffset, value: offset };
    places.set(JSON.stringify(path), place);
    if (isMap(node)) return readMap(node.items as Pair[], path);
    if (isSeq(node)) return readList(node.items as Node[], path);
    if (isAlias(node)) {
      problems.push({
        offset,
        path,
        text: `aliases (*${node.source}) are not supported; write the value out`,
      });
      return undefined;
    }
    if (!isScalar(node)) return undefined;
    place.written = node.source ?? String(node.value);
    if (node.value === null) return undefined;
    return typeof node.value === 'string' ? readText(node.value, path, offset) : node.value;
  };
  const readMap = (pairs: Pair[], path: Path): Record<string, unknown> => {
    const entries = new Map<string, unknown>();
    for (const { key, value } of pairs) {
      const name = String(key.value);
      const inner = [...path, name];
      const offset = key.range?.[0] ?? 0;
      if (entries.has(name)) {
        const { line } = lines.linePos(places.get(JSON.stringify(inner))?.key ?? 0);
        problems.push({
          offset,
          path: inner,
          text: `is there already, on line ${line}; keep one of the two`,
        });
        continue;
      }
      entries.set(name, read(value, inner, offset));
    }
    // fromEntries defines `__proto__` like any other key, where an assignment would change the prototype.
    return Object.fromEntries([...entries].filter(([, value]) => value !== undefined));
  };
  const readList = (items: Node[], path: Path): unknown[] => {
    const list: unknown[] = [];
    for (const item of items) {
      const value = read(item, [...path, list.length], item.range?.[0] ?? 0);
      if (value !== undefined) list.push(value);
    }
    return list;
  };

  // What follows the first is mostly its consequence.
  for (const error of [...document.errors, ...document.warnings].slice(0, 1)) {
    problems.push({ offset: error.pos[0], path: [], text: explainSyntax(error.code, error.message, source) });
  }
  const value = problems.length > 0 ? undefined : read(document.contents as Node | null, [], 0);

  const find = (path: Path): { key: number; value: number; written?: string } => {
    const place = places.get(JSON.stringify(path));
    if (place || path.length === 0) return place ?? { key: 0, value: 0 };
    return find(path.slice(0, -1));
  };
  return {
    value,
    problems,
    valueAt: (path) => find(path).value,
    keyAt: (path) => find(path).key,
    written: (path) => places.get(JSON.stringify(path))?.written,
    position(offset) {
      const { line, col } = lines.linePos(offset);
      return { line: Math.max(line, 1), column: Math.max(col, 1) };
    },
  };
}

interface Pair {
  key: { value: unknown; range?: [number, number, number] | null };
  value: Node | null;
}

/** The parser's codes, as what to do. Its own message is the fallback: it is short and says what it met. */
function explainSyntax(code: string, message: string, source: string): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'a tab at the start of a line; indent with spaces';
    case 'MULTIPLE_DOCS':
      return 'a second document begins here; remove the line ---';
    case 'MISSING_CHAR':
      return `${message}; add it`;
    case 'BAD_INDENT':
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY':
      return 'the indentation does not fit the lines above, or a bracket or quote is not closed; correct it';
    case 'TAG_RESOLVE_FAILED':
      return `${message}; put the value in quotes`;
    default: {
      const bare = /[{[,]\s*[^"'\n#]*\$\{/.test(source);
      return bare
        ? `not valid YAML (${message}); inside { } or [ ], put values with \${...} in quotes`
        : `not valid YAML (${message}); correct this line`;
    }
  }
}

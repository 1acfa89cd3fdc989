/** What the JSON Schema knows, for people: which key was meant, what a value must be, which values are secret. */
import { configJsonSchema } from '../config.ts';

export type Path = readonly (string | number)[];

/** The part of JSON Schema that our schema uses. */
interface Node {
  type?: string;
  properties?: Record<string, Node>;
  additionalProperties?: boolean | Node;
  items?: Node;
  anyOf?: Node[];
  enum?: unknown[];
  format?: string;
  minimum?: number;
  exclusiveMinimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  default?: unknown;
  examples?: unknown[];
  writeOnly?: boolean;
}

export interface Guide {
  /** Whether the value at this path must not be shown. */
  isSecret(path: Path): boolean;
  /** What an environment variable's text means at this path: `"4"` is 4 where a number belongs. */
  coerce(path: Path, text: string): string | number | boolean;
  /** What belongs at this path, to follow "must be". */
  expected(path: Path): string;
  /** What an unknown key of the section at this path probably means, to follow "unknown key". */
  suggest(section: Path, key: string): string;
  /** Every key there is, sections included, dotted. */
  keys(): string[];
}

let made: Guide | undefined;

/** The guide to the one schema there is, made when it is first needed. */
export function configGuide(): Guide {
  made ??= createGuide(configJsonSchema() as Node);
  return made;
}

function createGuide(root: Node): Guide {
  const at = (path: Path): Node | undefined => {
    let node: Node | undefined = root;
    for (const part of path) node = typeof part === 'number' ? itemsOf(node) : child(node, part);
    return node;
  };
  const all = listKeys(root, []);
  return {
    isSecret: (path) => at(path)?.writeOnly === true,
    coerce(path, text) {
      const type = at(path)?.type;
      if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
      const isNumber = type === 'number' || type === 'integer';
      return isNumber && text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : text;
    },
    expected: (path) => describe(at(path)),
    suggest: (section, key) => suggest(section, key, Object.keys(at(section)?.properties ?? {}), all),
    keys: () => all.map((path) => path.join('.')),
  };
}

function child(node: Node | undefined, key: string): Node | undefined {
  const other = node?.additionalProperties;
  return node?.properties?.[key] ?? (typeof other === 'object' ? other : undefined);
}

function itemsOf(node: Node | undefined): Node | undefined {
  return node?.items ?? node?.anyOf?.find((option) => option.items)?.items;
}

function listKeys(node: Node, path: string[]): string[][] {
  return Object.entries(node.properties ?? {}).flatMap(([key, value]) => [
    [...path, key],
    ...listKeys(value, [...path, key]),
  ]);
}

function describe(node: Node | undefined): string {
  if (!node) return 'left out';
  if (node.enum) return `one of ${node.enum.join(', ')}`;
  if (node.properties) return `a section with the keys ${Object.keys(node.properties).join(', ')}`;
  if (node.format === 'uri') return `an http or https address, such as ${String(node.default)}`;
  if (node.type === 'boolean') return 'true or false';
  if (node.type === 'integer' || node.type === 'number') return describeNumber(node);
  if (node.anyOf) return node.anyOf.map(describe).join(', or ');
  if (node.examples) return `text such as ${node.examples.join(' or ')}`;
  if (node.type === 'array') return `a list, each item ${describe(node.items)}`;
  if (node.maxLength !== undefined) return `text of ${node.minLength ?? 0} to ${node.maxLength} characters`;
  if (node.minLength !== undefined) return 'text that is not empty';
  return 'text (in quotes where YAML could take it for something else)';
}

function describeNumber(node: Node): string {
  const kind = node.type === 'integer' ? 'a whole number' : 'a number';
  const from =
    node.exclusiveMinimum !== undefined ? ` above ${node.exclusiveMinimum}` : ` from ${node.minimum}`;
  // zod states the largest safe integer where the schema states no limit.
  const limited = node.maximum !== undefined && node.maximum < Number.MAX_SAFE_INTEGER;
  return `${kind}${from}${limited ? ` to ${node.maximum}` : ''}`;
}

function suggest(section: Path, key: string, siblings: string[], all: string[][]): string {
  const here = nearest(key, siblings);
  if (here && here.distance <= likely(key)) return `did you mean ${here.name}?`;
  const elsewhere = all.filter((path) => path.at(-1) === key).map((path) => path.join('.'));
  if (elsewhere.length > 0) return `it belongs at ${elsewhere.join(' or ')}`;
  const anywhere = nearest(
    key,
    all.map((path) => path.at(-1) ?? ''),
  );
  if (anywhere && anywhere.distance <= likely(key)) {
    const path = all.find((candidate) => candidate.at(-1) === anywhere.name);
    return `did you mean ${path?.join('.')}?`;
  }
  const place = section.length === 0 ? 'at the top' : `in ${section.join('.')}`;
  return here ? `the nearest ${place} is ${here.name}; there are ${siblings.join(', ')}` : 'remove it';
}

/** How many edits a slip of the finger makes, for a word of this length. */
function likely(key: string): number {
  return Math.max(1, Math.ceil(plain(key).length / 3));
}

function nearest(key: string, candidates: readonly string[]): { name: string; distance: number } | undefined {
  let best: { name: string; distance: number } | undefined;
  for (const name of candidates) {
    const distance = editDistance(plain(key), plain(name));
    if (!best || distance < best.distance) best = { name, distance };
  }
  return best;
}

/** api_root, api-root and ApiRoot are all apiRoot misspelt. */
function plain(key: string): string {
  return key.toLowerCase().replace(/[-_\s]/g, '');
}

/** The least number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let cost = Math.min(
        cell(last, column) + 1,
        cell(current, column - 1) + 1,
        cell(last, column - 1) + (same ? 0 : 1),
      );
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1];
      if (swapped) cost = Math.min(cost, cell(beforeLast, column - 2) + 1);
      current.push(cost);
    }
    beforeLast = last;
    last = current;
  }
  return cell(last, b.length);
}

function cell(row: readonly number[], index: number): number {
  return row[index] ?? Number.POSITIVE_INFINITY;
}

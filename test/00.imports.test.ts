/** Imports run one way, in one reading of src/. Part of `npm run check`. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

/** From the ground up. A folder imports from lower rows, and within its own row only where `SIBLINGS` lets it. */
const LAYERS = [
  ['src', 'config'],
  ['browser', 'sandbox', 'images', 'models', 'memory'],
  ['tools'],
  ['agent'],
  ['adapters', 'skills'],
  ['daemon'],
  ['cli', 'http'],
];

/** Rows whose folders may import one another, as long as no cycle of folders comes of it. */
const SIBLINGS = [0, 1];

interface Import {
  /** The path as it is written. */
  specifier: string;
  line: number;
}

interface SourceFile {
  /** From the project's root: `src/adapters/telegram.ts`. */
  path: string;
  text: string;
  imports: Import[];
}

const files = readSources();

/** import, import type, export from, and import(): all of them are arrows. */
function importsOf(text: string): Import[] {
  const statement =
    /^[ \t]*(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]|^[ \t]*import\s*['"]([^'"]+)['"]/gm;
  const call = /\bimport\(\s*['"]([^'"]+)['"]/g;
  const code = text.replace(/^[ \t]*(?:\/\/|\/?\*).*$/gm, '');
  return [...code.matchAll(statement), ...code.matchAll(call)].map((match) => ({
    specifier: match[1] ?? match[2] ?? '',
    line: code.slice(0, match.index + match[0].length).split('\n').length,
  }));
}

function readSources(): SourceFile[] {
  return readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts'))
    .map((path) => {
      const text = readFileSync(join(ROOT, 'src', path), 'utf8');
      return { path: posix.join('src', path), text, imports: importsOf(text) };
    });
}

function isOurs(specifier: string): boolean {
  return specifier.startsWith('.');
}

function target(file: SourceFile, specifier: string): string {
  return posix.join(posix.dirname(file.path), specifier);
}

/** The folder under src/ that decides a file's layer; `src` itself for the files at the top. */
function folderOf(path: string): string {
  const [, folder, rest] = path.split('/');
  return folder !== undefined && rest !== undefined ? folder : 'src';
}

function layerOf(folder: string): number {
  return LAYERS.findIndex((row) => row.includes(folder));
}

/** Each arrow between two files of src/ that `judge` finds fault with, as `file:line imports target: fault`. */
function faults(judge: (from: string, to: string, file: SourceFile) => string | undefined): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap(({ specifier, line }) => {
      if (!isOurs(specifier)) return [];
      const to = target(file, specifier);
      const fault = judge(file.path, to, file);
      return fault === undefined ? [] : [`${file.path}:${line} imports ${to}: ${fault}`];
    }),
  );
}

/** One cycle of the graph, as the nodes along it, or undefined. */
function findCycle(arrows: ReadonlyMap<string, ReadonlySet<string>>): string[] | undefined {
  const done = new Set<string>();
  const walk = (node: string, trail: string[]): string[] | undefined => {
    if (trail.includes(node)) return [...trail.slice(trail.indexOf(node)), node];
    if (done.has(node)) return undefined;
    for (const next of arrows.get(node) ?? []) {
      const cycle = walk(next, [...trail, node]);
      if (cycle) return cycle;
    }
    done.add(node);
    return undefined;
  };
  for (const node of arrows.keys()) {
    const cycle = walk(node, []);
    if (cycle) return cycle;
  }
  return undefined;
}

function graph(nameOf: (path: string) => string): Map<string, Set<string>> {
  const arrows = new Map<string, Set<string>>();
  for (const file of files) {
    const from = nameOf(file.path);
    const targets = arrows.get(from) ?? new Set();
    arrows.set(from, targets);
    for (const { specifier } of file.imports) {
      const to = isOurs(specifier) ? nameOf(target(file, specifier)) : from;
      if (to !== from) targets.add(to);
    }
  }
  return arrows;
}

test('the reading of imports finds every kind, and nothing in comments', () => {
  const text = `/** import a from './no1.ts'; */
import one, { type Two } from './a.ts';
import type {
  Three,
} from "./b.ts";
import './c.ts';
export { four } from './d.ts';
export const x = Array.from(list); // import('./no2.ts') is read: better one too many
const lazy = () => import('./e.ts');
type Late = import('./f.ts').Late;
 * import('./no3.ts')
`;
  const found = importsOf(text).map(({ specifier, line }) => `${line} ${specifier}`);
  expect(found.sort()).toEqual(
    ['2 ./a.ts', '5 ./b.ts', '6 ./c.ts', '7 ./d.ts', '8 ./no2.ts', '9 ./e.ts', '10 ./f.ts'].sort(),
  );
});

test('a cycle is found', () => {
  const arrows = new Map([
    ['a', new Set(['b'])],
    ['b', new Set(['c', 'd'])],
    ['c', new Set<string>()],
    ['d', new Set(['b'])],
  ]);
  expect(findCycle(arrows)).toEqual(['b', 'd', 'b']);
  expect(findCycle(new Map([['a', new Set(['b'])]]))).toBeUndefined();
});

test('every folder of src/ has its place in the layers', () => {
  const unknown = files.filter((file) => layerOf(folderOf(file.path)) < 0).map((file) => file.path);
  expect(unknown, 'add the folder to LAYERS in this test and to DESIGN').toEqual([]);
});

test('no arrow runs back', () => {
  const back = faults((from, to) => {
    const [low, high] = [layerOf(folderOf(from)), layerOf(folderOf(to))];
    if (high > low) return `${folderOf(from)} lies below ${folderOf(to)}; pass what it needs as an argument`;
    const siblings = low === high && folderOf(from) !== folderOf(to);
    return siblings && !SIBLINGS.includes(low)
      ? `${folderOf(from)} and ${folderOf(to)} stand side by side; what both need belongs below them`
      : undefined;
  });
  expect(back).toEqual([]);
});

test('no cycle, of files or of folders', () => {
  expect(findCycle(graph((path) => path))?.join(' → '), 'files that import each other').toBeUndefined();
  expect(
    findCycle(graph((path) => (['src', 'config'].includes(folderOf(path)) ? 'src' : folderOf(path))))?.join(
      ' → ',
    ),
    'folders that import each other',
  ).toBeUndefined();
});

test('our own imports name a file that is there, with its ending', () => {
  const wrong = faults((_from, to) => {
    if (!/\.(ts|json)$/.test(to)) return 'write the ending .ts';
    return existsSync(join(ROOT, to)) ? undefined : 'there is no such file';
  });
  expect(wrong).toEqual([]);
});

test('nothing in src/ reaches out of src/', () => {
  expect(
    faults((_from, to) => (to.startsWith('src/') ? undefined : 'src/ alone is what gets built')),
  ).toEqual([]);
});

test('every package that src/ imports is a dependency, not a guest of another or for development only', () => {
  const manifest: { dependencies: Record<string, string>; devDependencies: Record<string, string> } =
    JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  const guests = files.flatMap((file) =>
    file.imports.flatMap(({ specifier, line }) => {
      if (isOurs(specifier) || isBuiltin(specifier)) return [];
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      // `import type { Root } from 'mdast'` is a package of types alone: nothing of it is left when built.
      if (`@types/${name}` in manifest.devDependencies) return [];
      return name in manifest.dependencies ? [] : [`${file.path}:${line} imports ${name}`];
    }),
  );
  expect(guests, 'npm install --save-exact it').toEqual([]);
});

test('no barrels: only a registry, an index.ts, passes on what it imports', () => {
  const barrels = files
    .filter((file) => !file.path.endsWith('/index.ts') && /^export\b[^'";]*?\bfrom\s*['"]/m.test(file.text))
    .map((file) => file.path);
  expect(barrels).toEqual([]);
});

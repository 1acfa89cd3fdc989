/** Inline Markdown, flattened: stretches of text that each carry all of their styles, so that no tag can nest wrongly. */
import type { Definition, PhrasingContent } from 'mdast';

export type Style = 'bold' | 'italic' | 'strike';

export interface Run {
  text: string;
  styles: ReadonlySet<Style>;
  code: boolean;
  /** An object, so that two links to one address side by side stay two. */
  link: { readonly url: string } | undefined;
}

export type Definitions = ReadonlyMap<string, Definition>;

type Around = Omit<Run, 'text'>;

const SAFE_SCHEME = /^(?:https?|mailto|tg):/i;

/** The runs of a paragraph, a heading or a table cell. Only http, https, mailto and tg addresses become links. */
export function runsOf(
  nodes: readonly PhrasingContent[],
  definitions: Definitions,
  styles: Style[] = [],
): Run[] {
  const around: Around = { styles: new Set(styles), code: false, link: undefined };
  return nodes.flatMap((node) => flatten(node, definitions, around));
}

export function plainText(runs: readonly Run[]): string {
  return runs.map((run) => run.text).join('');
}

function flatten(node: PhrasingContent, definitions: Definitions, around: Around): Run[] {
  const inside = (nodes: readonly PhrasingContent[], more: Partial<Around>): Run[] =>
    nodes.flatMap((child) => flatten(child, definitions, { ...around, ...more }));
  const styled = (nodes: readonly PhrasingContent[], style: Style): Run[] =>
    inside(nodes, { styles: new Set([...around.styles, style]) });
  const text = (value: string): Run[] => (value === '' ? [] : [{ ...around, text: value }]);
  const linked = (url: string, label: (more: Partial<Around>) => Run[]): Run[] => {
    if (around.link) return label({});
    const link = SAFE_SCHEME.test(url) ? { url } : undefined;
    const runs = label({ link });
    if (runs.length === 0) return [{ ...around, link, text: url }];
    return link || plainText(runs) === url ? runs : [...runs, ...text(` (${url})`)];
  };
  const image = (alt: string, url: string): Run[] =>
    linked(url, (more) => (alt === '' ? [] : [{ ...around, ...more, text: alt }]));

  switch (node.type) {
    case 'text':
      return text(node.value);
    case 'strong':
      return styled(node.children, 'bold');
    case 'emphasis':
      return styled(node.children, 'italic');
    case 'delete':
      return styled(node.children, 'strike');
    case 'inlineCode':
      return [{ ...around, text: node.value, code: true }];
    case 'break':
      return text('\n');
    case 'html':
      return text(/^<br\s*\/?>$/i.test(node.value) ? '\n' : node.value);
    case 'link':
      return linked(node.url, (more) => inside(node.children, more));
    case 'linkReference': {
      const url = definitions.get(node.identifier)?.url;
      return url === undefined
        ? inside(node.children, {})
        : linked(url, (more) => inside(node.children, more));
    }
    case 'image':
      return image(node.alt ?? '', node.url);
    case 'imageReference':
      return image(node.alt ?? '', definitions.get(node.identifier)?.url ?? '');
    case 'footnoteReference':
      return text(`[${node.label ?? node.identifier}]`);
  }
}

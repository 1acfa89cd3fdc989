/** Fills in the service files of systemd/ and launchd/. Knows how each of them quotes. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { KimiError } from '../../errors.ts';

/** What a service file says of this machine. Paths are absolute. */
export interface ServiceValues {
  /** The node that runs now. */
  node: string;
  /** This project's folder. */
  folder: string;
  home: string;
  /** Where model files are; it may lie outside the home. */
  models: string;
  /** The PATH that python3 and the sandbox's tools are found on. */
  path: string;
  /** Whether this user may make user namespaces. */
  userNamespaces: boolean;
}

/** The path of the program within the project's folder. */
export const PROGRAM = 'dist/cli/kimi.js';

/** Fills in systemd/kimi.service. Throws KimiError `invalid_argument` on a value that no unit can hold. */
export function renderSystemd(template: string, values: ServiceValues): string {
  return fill(template, {
    NODE: quote(values.node),
    PROGRAM: quoteArgument(join(values.folder, PROGRAM)),
    FOLDER_URL: specifiers(pathToFileURL(values.folder).pathname),
    KIMI_HOME: quote(`KIMI_HOME=${values.home}`),
    PATH: quote(`PATH=${values.path}`),
    // This one setting takes the rest of the line as it is.
    ENV_FILE: specifiers(join(values.home, 'env')),
    // The models' folder may not exist yet; the home does, and the unit must not start without it.
    WRITABLE: `${quote(values.home)} ${quote(`-${values.models}`)}`,
    PRIVATE_USERS: values.userNamespaces ? 'yes' : 'no',
  });
}

/** Fills in launchd/local.kimi.plist. Throws KimiError `invalid_argument` on a value that it cannot hold. */
export function renderLaunchd(template: string, values: ServiceValues): string {
  return fill(template, {
    NODE: escapeXml(values.node),
    PROGRAM: escapeXml(join(values.folder, PROGRAM)),
    KIMI_HOME: escapeXml(values.home),
    PATH: escapeXml(values.path),
    LOG_FILE: escapeXml(join(values.home, 'kimi.log')),
  });
}

function fill(template: string, values: Readonly<Record<string, string>>): string {
  return template.replace(/@([A-Z_]+)@/g, (whole, name: string) => {
    const value = values[name] ?? whole;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    if (!/[\x00-\x1f\x7f]/.test(value)) return value;
    throw new KimiError(`${JSON.stringify(value)} holds a control character. Use another folder.`, {
      code: 'invalid_argument',
    });
  });
}

/** Percent signs are systemd's specifiers, in every setting that holds a path. */
function specifiers(text: string): string {
  return text.replaceAll('%', '%%');
}

/** As systemd.syntax(7) has it. */
function quote(text: string): string {
  return `"${specifiers(text).replace(/["\\]/g, '\\$&')}"`;
}

/** In the arguments of a command, but not in its first word, dollar signs are variables, quoted or not. */
function quoteArgument(text: string): string {
  return quote(text.replaceAll('$', '$$$$'));
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

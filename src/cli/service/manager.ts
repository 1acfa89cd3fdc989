/** The two service managers: where each wants its file, and its commands. */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { renderLaunchd, renderSystemd, type ServiceValues } from './render.ts';

export type Command = readonly [program: string, ...args: string[]];

export interface ServiceManager {
  /** Where the service file belongs. */
  file: string;
  /** The service file, filled in. */
  render(values: ServiceValues): string;
  /** To run once the file is there, in this order. */
  enable: readonly Command[];
  /** To run before the file is removed; each may fail where the service is not running. */
  disable: readonly Command[];
  /** To run after the file is removed. */
  forget: readonly Command[];
  status: Command;
  /** What the user should know after installing. */
  hints(home: string): string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The manager of this platform; undefined where there is none that we know. */
export function serviceManager(
  folder: string,
  platform: NodeJS.Platform = process.platform,
  env: Environment = process.env,
): ServiceManager | undefined {
  if (platform === 'linux') return systemd(folder, env);
  if (platform === 'darwin') return launchd(folder);
  return undefined;
}

function systemd(folder: string, env: Environment): ServiceManager {
  const unit = 'kimi.service';
  const systemctl = (...args: string[]): Command => ['systemctl', '--user', ...args];
  const configHome = env.XDG_CONFIG_HOME || join(homedir(), '.config');
  return {
    file: join(configHome, 'systemd', 'user', unit),
    render: (values) => renderSystemd(readFileSync(join(folder, 'systemd', unit), 'utf8'), values),
    enable: [systemctl('daemon-reload'), systemctl('enable', unit), systemctl('restart', unit)],
    disable: [systemctl('disable', '--now', unit)],
    forget: [systemctl('daemon-reload')],
    status: systemctl('--no-pager', 'status', unit),
    hints: (home) => [
      'To keep it running while you are logged out: loginctl enable-linger',
      'Its log: journalctl --user -u kimi -f',
      `It does not see this shell's variables: put those that config.yaml names into ${join(home, 'env')}, one NAME=value a line, mode 0600.`,
    ],
  };
}

function launchd(folder: string): ServiceManager {
  const label = 'local.kimi';
  const domain = `gui/${process.getuid?.() ?? 0}`;
  const file = join(homedir(), 'Library', 'LaunchAgents', `${label}.plist`);
  return {
    file,
    render: (values) =>
      renderLaunchd(readFileSync(join(folder, 'launchd', `${label}.plist`), 'utf8'), values),
    enable: [['launchctl', 'bootstrap', domain, file]],
    disable: [['launchctl', 'bootout', `${domain}/${label}`]],
    forget: [],
    status: ['launchctl', 'print', `${domain}/${label}`],
    hints: (home) => [
      `Its log: ${join(home, 'kimi.log')}`,
      "It does not see this shell's variables: write secrets as file:path in config.yaml.",
    ],
  };
}

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { serviceManager } from '../src/cli/service/manager.ts';
import { renderLaunchd, renderSystemd, type ServiceValues } from '../src/cli/service/render.ts';
import { run } from '../src/cli/service.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const UNIT = readFileSync(join(ROOT, 'systemd/kimi.service'), 'utf8');
const PLIST = readFileSync(join(ROOT, 'launchd/local.kimi.plist'), 'utf8');

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kimi-service-'));
});

afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true, force: true });
});

function values(base: string): ServiceValues {
  return {
    node: join(base, 'bin/node'),
    folder: join(base, 'kimi'),
    home: join(base, 'home'),
    models: join(base, 'models'),
    path: `${base}/bin:/usr/bin`,
    userNamespaces: true,
  };
}

/** Makes the files that the values name, so that a checker finds them. */
function populate(base: string): void {
  for (const name of ['bin', 'kimi/dist/cli', 'home']) mkdirSync(join(base, name), { recursive: true });
  symlinkSync(process.execPath, join(base, 'bin/node'));
  writeFileSync(join(base, 'kimi/dist/cli/kimi.js'), '');
}

function has(program: string, ...args: string[]): boolean {
  return spawnSync(program, args).status === 0;
}

describe('the systemd unit', () => {
  test('leaves no name open', () => {
    const settings = renderSystemd(UNIT, values('/srv'))
      .split('\n')
      .filter((line) => !line.startsWith('#'));
    expect(settings.join('\n')).not.toMatch(/@[A-Z_]+@/);
    expect(settings).toContain('ExecStart="/srv/bin/node" "/srv/kimi/dist/cli/kimi.js" start');
    expect(settings).toContain('ReadWritePaths="/srv/home" "-/srv/models"');
    expect(settings).toContain('PrivateUsers=yes');
  });

  test('quotes what means something to systemd', () => {
    const unit = renderSystemd(UNIT, values('/a b/50%/$HOME/"q"\\z'));
    expect(unit).toContain('ExecStart="/a b/50%%/$HOME/\\"q\\"\\\\z/bin/node" "/a b/50%%/$$HOME/');
    expect(unit).toContain('Environment="KIMI_HOME=/a b/50%%/$HOME/\\"q\\"\\\\z/home"');
    expect(unit).toContain('EnvironmentFile=-/a b/50%%/$HOME/"q"\\z/home/env');
  });

  test('cannot be given a second line', () => {
    expect(() => renderSystemd(UNIT, values('/a\nExecStartPre=/bin/evil'))).toThrow(/control character/);
  });

  test.runIf(has('systemd-analyze', '--version')).each(['plain', 'with space', '50%', '$HOME'])(
    'is what systemd understands, in a folder named %s',
    (name) => {
      const base = join(folder, name);
      populate(base);
      const path = join(folder, 'kimi.service');
      writeFileSync(path, renderSystemd(UNIT, values(base)));
      const { status, stdout, stderr } = spawnSync(
        'systemd-analyze',
        ['verify', '--user', '--man=no', path],
        {
          encoding: 'utf8',
          env: { ...process.env, XDG_RUNTIME_DIR: folder },
        },
      );
      const ours = (stdout + stderr).split('\n').filter((line) => line.includes('kimi'));
      expect(ours).toEqual([]);
      expect(status).toBe(0);
    },
  );

  test.runIf(has('systemd-analyze', '--version'))('a mistake in it would be noticed', () => {
    populate(folder);
    const path = join(folder, 'kimi.service');
    writeFileSync(path, renderSystemd(UNIT.replace('KillMode=mixed', 'KillMode=mixd'), values(folder)));
    const { stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--user', '--man=no', path], {
      encoding: 'utf8',
      env: { ...process.env, XDG_RUNTIME_DIR: folder },
    });
    expect(stdout + stderr).toContain('mixd');
  });
});

describe('the launchd agent', () => {
  test.runIf(has('python3', '-c', 'import plistlib'))('is a property list that says what it should', () => {
    const plist = renderLaunchd(PLIST, values('/a & b/<c>'));
    const read = 'import json, plistlib, sys; print(json.dumps(plistlib.loads(sys.stdin.buffer.read())))';
    const { stdout } = spawnSync('python3', ['-c', read], { input: plist, encoding: 'utf8' });
    expect(JSON.parse(stdout)).toMatchObject({
      Label: 'local.kimi',
      ProgramArguments: ['/a & b/<c>/bin/node', '/a & b/<c>/kimi/dist/cli/kimi.js', 'start'],
      EnvironmentVariables: { KIMI_HOME: '/a & b/<c>/home', PATH: '/a & b/<c>/bin:/usr/bin' },
      KeepAlive: { SuccessfulExit: false },
      Umask: 0o077,
    });
  });
});

describe('kimi service', () => {
  test('each platform has its manager, and its file a place', () => {
    const env = { XDG_CONFIG_HOME: '/x' };
    expect(serviceManager(ROOT, 'linux', env)?.file).toBe('/x/systemd/user/kimi.service');
    expect(serviceManager(ROOT, 'darwin', env)?.file).toMatch(/\/Library\/LaunchAgents\/local\.kimi\.plist$/);
    expect(serviceManager(ROOT, 'win32', env)).toBeUndefined();
  });

  describe.runIf(process.platform === 'linux')('on Linux', () => {
    let printed: string[];

    beforeEach(() => {
      printed = [];
      vi.stubEnv('KIMI_HOME', join(folder, 'home'));
      vi.stubEnv('XDG_CONFIG_HOME', join(folder, 'config'));
      for (const method of ['log', 'error'] as const) {
        vi.spyOn(console, method).mockImplementation((line: string) => {
          printed.push(line);
        });
      }
    });

    /** A systemctl of our own, first on the PATH, which notes how it is called. */
    function stubSystemctl(exitCode: number): () => string[] {
      const bin = join(folder, 'bin');
      const notes = join(folder, 'calls');
      mkdirSync(bin);
      writeFileSync(notes, '');
      const script = `#!/bin/sh\necho "$@" >> '${notes}'\nexit ${exitCode}\n`;
      writeFileSync(join(bin, 'systemctl'), script, { mode: 0o755 });
      vi.stubEnv('PATH', `${bin}:${process.env.PATH}`);
      return () => readFileSync(notes, 'utf8').trim().split('\n');
    }

    test('--print writes nothing', async () => {
      expect(await run(['install', '--print'])).toBe(0);
      expect(printed.join('\n')).toContain(`Environment="KIMI_HOME=${join(folder, 'home')}"`);
      expect(printed.at(-1)).toBe('systemctl --user restart kimi.service');
      printed.length = 0;
      expect(await run(['uninstall', '--print'])).toBe(0);
      expect(printed[1]).toBe(`rm ${join(folder, 'config/systemd/user/kimi.service')}`);
      expect(has('test', '-e', join(folder, 'home'))).toBe(false);
      expect(has('test', '-e', join(folder, 'config'))).toBe(false);
    });

    test.runIf(has('test', '-e', join(ROOT, 'dist/cli/kimi.js')))(
      'install, install again, status, uninstall',
      async () => {
        const calls = stubSystemctl(0);
        const file = join(folder, 'config/systemd/user/kimi.service');
        expect(await run(['install'])).toBe(0);
        expect(readFileSync(file, 'utf8')).toContain(join(ROOT, 'dist/cli/kimi.js'));
        expect(await run(['install'])).toBe(0);
        expect(await run(['status'])).toBe(0);
        expect(await run(['uninstall'])).toBe(0);
        expect(has('test', '-e', file)).toBe(false);
        expect(await run(['uninstall'])).toBe(0);
        const enable = ['--user daemon-reload', '--user enable kimi.service', '--user restart kimi.service'];
        const disable = '--user disable --now kimi.service';
        const status = '--user --no-pager status kimi.service';
        expect(calls()).toEqual([...enable, disable, ...enable, status, disable, '--user daemon-reload']);
      },
    );

    test.runIf(has('test', '-e', join(ROOT, 'dist/cli/kimi.js')))(
      'where no user manager answers, it says what to run',
      async () => {
        stubSystemctl(1);
        expect(await run(['install'])).toBe(1);
        expect(printed).toContain('  systemctl --user enable kimi.service');
      },
    );

    test('words it does not know are a usage error', async () => {
      for (const args of [[], ['instal'], ['install', 'now'], ['install', '--prnt']]) {
        expect(await run(args)).toBe(2);
      }
    });
  });
});

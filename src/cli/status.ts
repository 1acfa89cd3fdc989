/** `kimi status`: how the running daemon is. */
import type { StatusReport } from '../daemon/health.ts';
import { describeStatus } from '../daemon/report.ts';
import { ask } from './client.ts';

export async function run(args: string[]): Promise<number> {
  const report = await ask<StatusReport>('status');
  if (args.includes('--json')) {
    console.log(JSON.stringify(report ?? { running: false }, null, 2));
    return report ? 0 : 3;
  }
  if (!report) {
    console.log('Kimi is not running. Start it: `kimi start` (or `npm start` in its folder).');
    return 3;
  }
  const since = new Date(report.startedAt).toISOString().slice(0, 19).replace('T', ' ');
  const memory = Math.round(report.rssBytes / 1e6);
  console.log(`Kimi ${report.version} runs since ${since} UTC (process ${report.pid}, ${memory} MB).\n`);
  for (const line of describeStatus(report)) console.log(`  ${line}`);
  return 0;
}

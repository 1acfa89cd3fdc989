/** A status report as lines for people: the same at the start, in `kimi status` and in /status. */
import type { StatusReport } from './health.ts';

/** One line a thing that is on or off, and why. */
export function describeStatus(report: StatusReport): string[] {
  const lines = [['model', describeModel(report)] as const, ...report.channels.map(describeChannel)];
  lines.push([
    'memory',
    `${count(report.memory.conversations, 'conversation')}, ${count(report.memory.messages, 'message')} in ${report.home}/kimi.db`,
  ]);
  lines.push([
    'config',
    report.config.error
      ? `${report.config.path}: NOT TAKEN, the last good one holds: ${report.config.error}`
      : report.config.path,
  ]);
  const waiting = (report.inbox.received ?? 0) + (report.inbox.leased ?? 0);
  const unsent = (report.outbox.queued ?? 0) + (report.outbox.sending ?? 0) + (report.outbox.unknown ?? 0);
  if (waiting + unsent > 0) lines.push(['queues', `${waiting} to answer, ${unsent} to deliver`]);
  const dead = (report.inbox.dead ?? 0) + (report.outbox.dead ?? 0);
  if (dead > 0) lines.push(['dead', `${count(dead, 'message')}: \`kimi dead\` lists them`]);
  for (const warning of report.config.warnings) lines.push(['warning', warning]);
  const width = Math.max(...lines.map(([name]) => name.length));
  return lines.map(([name, text]) => `${name.padEnd(width)}  ${text}`);
}

function describeModel({ model }: StatusReport): string {
  const state = model.chat ? `${model.chat}: ${model.why}` : `none: ${model.why}`;
  if (!model.fetching) return state;
  const { what, done, total } = model.fetching;
  return `${state} (${what}${total ? `, ${Math.floor((100 * done) / total)} %` : ''})`;
}

function describeChannel(channel: StatusReport['channels'][number]): [string, string] {
  if (!channel.on) return [channel.name, `off: ${channel.why}`];
  const since = `since ${new Date(channel.since).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
  const parts = [`${channel.state}${channel.identity ? ` as ${channel.identity}` : ''} ${since}`];
  if (channel.lastMessageAt)
    parts.push(`last message ${new Date(channel.lastMessageAt).toISOString().slice(11, 19)}`);
  if (channel.lastError) parts.push(`last error: ${channel.lastError}`);
  return [channel.name, parts.join('; ')];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

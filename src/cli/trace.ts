/** `kimi trace`: the life of one message. */
import type { InboxTrace } from '../memory/inbox.ts';
import type { OutboxTrace } from '../memory/outbox.ts';
import { operate } from './operate.ts';

export async function run([id]: string[]): Promise<number> {
  if (!id) {
    console.error(
      "Use: kimi trace MESSAGE-ID (the platform's id of a message, or its number in `kimi dead`)",
    );
    return 2;
  }
  const { received, sent } = await operate<{ received: InboxTrace[]; sent: OutboxTrace[] }>('trace', { id });
  if (received.length === 0 && sent.length === 0) {
    console.error(`No message ${id} is known. Messages are kept for 30 days after they were answered.`);
    return 1;
  }
  const lines = [...received.flatMap(describeReceived), ...sent.flatMap(describeSent)];
  for (const { at, what } of lines.sort((a, b) => a.at - b.at))
    console.log(`${new Date(at).toISOString()}  ${what}`);
  return 0;
}

interface Line {
  at: number;
  what: string;
}

function describeReceived(message: InboxTrace): Line[] {
  const lines: Line[] = [
    { at: message.sentAt, what: `sent by the person (${message.messageId})` },
    { at: message.receivedAt, what: `inbox ${message.id}: received in ${message.conversation}` },
  ];
  if (message.leasedAt !== null) {
    lines.push({
      at: message.leasedAt,
      what: `inbox ${message.id}: taken as turn ${message.turn}, attempt ${message.attempts}`,
    });
  }
  if (message.answeredAt !== null) {
    const why = message.error ? `: ${message.error}` : '';
    lines.push({ at: message.answeredAt, what: `inbox ${message.id}: ${message.state}${why}` });
  }
  return lines;
}

function describeSent(row: OutboxTrace): Line[] {
  const lines: Line[] = [
    { at: row.createdAt, what: `outbox ${row.id}: part ${row.seq + 1} of the reply began` },
  ];
  if (row.sentAt !== null)
    lines.push({ at: row.sentAt, what: `outbox ${row.id}: ${row.state} as ${row.messageId}` });
  else
    lines.push({
      at: row.createdAt,
      what: `outbox ${row.id}: ${row.state}${row.error ? `: ${row.error}` : ''}`,
    });
  return lines;
}

/**
 * Names the instants between which the program may be killed without harm. With KIMI_KILL_AT=name[:n] the process
 * kills itself with SIGKILL when it reaches that instant for the n-th time: how the kill test gets to each of them.
 */
export type Transition =
  | 'inbox.committed'
  | 'turn.leased'
  | 'draft.queued'
  | 'turn.answered'
  | 'send.begun'
  | 'send.done'
  | 'send.recorded';

const [target, count = '1'] = (process.env.KIMI_KILL_AT ?? '').split(':');
let left = Number(count);

/** Marks that the program has reached an instant. Costs a comparison. */
export function reach(transition: Transition): void {
  if (transition === target && --left === 0) process.kill(process.pid, 'SIGKILL');
}

/** Discord's ids: milliseconds since 2015, then a counter. */

const EPOCH = 1_420_070_400_000;
let last = 0n;

/** Larger than all before. */
export function nextId(): string {
  const now = BigInt(Date.now() - EPOCH) << 22n;
  last = now > last ? now : last + 1n;
  return String(last);
}

export function isId(value: unknown): value is string {
  return typeof value === 'string' && /^\d{17,20}$/.test(value);
}

/** Orders ids as numbers. */
export function byId(a: { id: string }, b: { id: string }): number {
  return a.id.length - b.id.length || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0);
}

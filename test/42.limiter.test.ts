import { expect, test } from 'vitest';
import { createLimiter } from '../src/daemon/limiter.ts';

const never = new AbortController().signal;

/** Writes to each room in turn as fast as the limiter lets it, and tells when. */
async function write(limiter: ReturnType<typeof createLimiter>, rooms: string[], group = false) {
  const times: { room: string; at: number }[] = [];
  await Promise.all(
    rooms.map(async (room) => {
      const done = await limiter.acquire(room, group, never);
      times.push({ room, at: Date.now() });
      done();
    }),
  );
  return times;
}

test('writes to one room keep their distance, other rooms do not wait for it', async () => {
  const limiter = createLimiter({ chatIntervalMs: 200 });
  const times = await write(limiter, ['a', 'a', 'b', 'a']);
  const ofA = times.filter(({ room }) => room === 'a').map(({ at }) => at);
  for (let n = 1; n < ofA.length; n++) expect((ofA[n] ?? 0) - (ofA[n - 1] ?? 0)).toBeGreaterThanOrEqual(199);
  expect(times.findIndex(({ room }) => room === 'b')).toBeLessThan(2);
});

test('no second holds more writes than the channel takes', async () => {
  const limiter = createLimiter({ chatIntervalMs: 0, perSecond: 5 });
  const times = (
    await write(
      limiter,
      Array.from({ length: 12 }, (_, n) => `r${n}`),
    )
  )
    .map(({ at }) => at)
    .sort();
  for (let n = 5; n < times.length; n++)
    expect((times[n] ?? 0) - (times[n - 5] ?? 0)).toBeGreaterThanOrEqual(999);
});

test('a pause is kept to the millisecond, by its room alone', async () => {
  const limiter = createLimiter({ chatIntervalMs: 0 });
  const until = Date.now() + 300;
  limiter.pause(300, 'a');
  const times = await write(limiter, ['a', 'b']);
  expect(times[0]?.room).toBe('b');
  expect(times[1]?.at).toBeGreaterThanOrEqual(until);
});

test('a group has its own limit within a minute', async () => {
  let now = 0;
  const limiter = createLimiter({ chatIntervalMs: 0, groupPerMinute: 2 }, () => now);
  (await limiter.acquire('g', true, never))();
  (await limiter.acquire('g', true, never))();
  const abort = new AbortController();
  const third = limiter.acquire('g', true, abort.signal);
  abort.abort();
  await expect(third).rejects.toThrow();
  now = 60_001;
  await limiter.acquire('g', true, never);
});

test('a write that takes long on its way keeps its distance from the next all the same', async () => {
  let now = 0;
  const limiter = createLimiter({ chatIntervalMs: 100 }, () => now);
  const done = await limiter.acquire('a', false, never);
  now = 1_000;
  done();
  now = 1_099;
  const next = limiter.acquire('a', false, never);
  now = 1_100;
  await next;
});

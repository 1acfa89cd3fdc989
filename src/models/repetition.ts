/** Notices that a model goes round in circles. Works on the stream, so it holds for every provider. */

/** How much of the end is looked at; a loop whose round is longer than a third of it is not noticed. */
const TAIL = 1_500;
/** Looked at once in so many characters. */
const STRIDE = 48;
/** Shorter repetition is style: a rule of dashes, a table's border, a chorus. */
const LEAST_LENGTH = 240;
const LEAST_ROUNDS = 5;
const LEAST_ROUNDS_OF_A_LONG_ONE = 3;
const LONG_ROUND = 120;
/** With the digits taken away only rounds of this length count, or counting to a hundred would be a loop. */
const LEAST_ROUND_WITHOUT_DIGITS = 16;

export interface RepetitionGuard {
  /** True once the text so far ends in a loop. */
  push(delta: string): boolean;
}

/** Makes a guard for one answer. It finds exact rounds, and rounds that differ only in their numbers (`1. … 2. …`). */
export function createRepetitionGuard(): RepetitionGuard {
  let tail = '';
  let unseen = 0;
  return {
    push(delta) {
      tail = (tail + delta).slice(-TAIL);
      unseen += delta.length;
      if (unseen < STRIDE || tail.length < LEAST_LENGTH) return false;
      unseen = 0;
      return endsInLoop(tail, 1) || endsInLoop(tail.replace(/\d+/g, '0'), LEAST_ROUND_WITHOUT_DIGITS);
    },
  };
}

/**
 * Whether `text` ends in a part that repeats with a period of at least `leastRound` characters. Read backwards, a
 * loop is a text that agrees with itself shifted by one round: the Z algorithm yields that agreement for every
 * shift in linear time.
 */
function endsInLoop(text: string, leastRound: number): boolean {
  const backwards = Array.from({ length: text.length }, (_, index) =>
    text.charCodeAt(text.length - 1 - index),
  );
  const agreement = zArray(backwards);
  // From the shortest: a multiple of a round is a round too, and says nothing about how long it really is.
  for (let round = 1; round < backwards.length; round++) {
    const length = round + (agreement[round] ?? 0);
    const rounds = length / round;
    const enough = round >= LONG_ROUND ? LEAST_ROUNDS_OF_A_LONG_ONE : LEAST_ROUNDS;
    if (length >= LEAST_LENGTH && rounds >= enough) return round >= leastRound;
  }
  return false;
}

/** For each index the length of the longest common prefix of `units` and its part from there. */
function zArray(units: readonly number[]): Uint32Array {
  const z = new Uint32Array(units.length);
  let left = 0;
  let right = 0;
  for (let index = 1; index < units.length; index++) {
    let length = index < right ? Math.min(right - index, z[index - left] ?? 0) : 0;
    while (index + length < units.length && units[length] === units[index + length]) length++;
    z[index] = length;
    if (index + length > right) {
      left = index;
      right = index + length;
    }
  }
  return z;
}

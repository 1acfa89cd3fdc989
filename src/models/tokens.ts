/** How many tokens a text takes, estimated so that it errs high: a prompt that is fitted by it is never cut by the engine. */

const SPACE = 0x20;
const isLower = (code: number) => code >= 0x61 && code <= 0x7a;
const isUpper = (code: number) => code >= 0x41 && code <= 0x5a;
const isLetter = (code: number) => isLower(code) || isUpper(code);
const isDigit = (code: number) => code >= 0x30 && code <= 0x39;

/** y is a vowel here; so is every letter that keeps a word pronounceable. Case is folded by the bit that differs. */
function isVowel(code: number): boolean {
  switch (code | 0x20) {
    case 0x61:
    case 0x65:
    case 0x69:
    case 0x6f:
    case 0x75:
    case 0x79:
      return true;
    default:
      return false;
  }
}

/** UTF-8 bytes of one UTF-16 unit; a surrogate is half of a four-byte character. */
function bytesOf(unit: number): number {
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  return unit >= 0xd800 && unit <= 0xdfff ? 2 : 3;
}

/** Where the run of letters that starts at `start` ends: before a capital after a small letter, so `camelCase` is two. */
function endOfRun(text: string, start: number): number {
  let index = start + 1;
  while (index < text.length) {
    const code = text.charCodeAt(index);
    if (!isLetter(code) || (isUpper(code) && isLower(text.charCodeAt(index - 1)))) break;
    index++;
  }
  return index;
}

function tokensOfRun(text: string, start: number, end: number): number {
  let capitals = 0;
  let vowels = 0;
  let consonantsInARow = 0;
  let extra = 0;
  for (let index = start; index < end; index++) {
    const code = text.charCodeAt(index);
    if (isUpper(code)) capitals++;
    if (isVowel(code)) {
      vowels++;
      consonantsInARow = 0;
    } else if (++consonantsInARow > 2) {
      extra++;
    }
  }
  if (vowels === 0 && end - start > 1) extra++;
  return Math.ceil((end - start) / (capitals > 1 ? 2 : 4)) + extra;
}

/**
 * Estimates the tokens of `text` for any tokenizer in use, erring high. An integer, 0 for the empty text.
 *
 * No token of a byte-level BPE vocabulary (GPT-2's kind: Llama 3, Qwen, SmolLM) or of SentencePiece with byte fallback
 * (Llama 2, Gemma) covers less than one byte, so UTF-8 bytes bound the count from above. That bound is used as it is
 * for everything beyond ASCII, for punctuation and for digits, which many vocabularies take one by one. English and
 * code would be overrated fourfold by it, so runs of ASCII letters count
 * - a quarter of their letters, half where there are two capitals or more, rounded up; `camelCase` is two runs;
 * - one more for each consonant that follows two others, and for a run without any vowel: what nobody can pronounce,
 *   no vocabulary holds (abbreviations, random names, keyboard mash).
 *
 * A single space belongs to the word after it, and counts only before a digit or a character beyond ASCII; of more
 * spaces in a row each four count one. A tenth is added to all, and two for the marks that some tokenizers put around
 * a text.
 *
 * Measured against SmolLM2's vocabulary (49k, the smallest that we meet, hence the most tokens): 1.2 to 1.9 times the
 * exact count for prose and code in Latin script, 1.3 to 2.7 times for other scripts, and not below it even for base64
 * and random letters; the table is in test/35. Larger vocabularies need fewer tokens still.
 */
export function estimateTokens(text: string): number {
  if (text === '') return 0;
  let tokens = 0;
  let index = 0;
  while (index < text.length) {
    const start = index;
    const code = text.charCodeAt(index);
    if (code === SPACE) {
      while (text.charCodeAt(index) === SPACE) index++;
      const next = index < text.length ? text.charCodeAt(index) : SPACE;
      const ofItsOwn = isDigit(next) || next >= 0x80 ? 1 : 0;
      const run = index - start;
      tokens += ofItsOwn + (run === 1 ? 0 : Math.ceil(run / 4));
    } else if (isLetter(code)) {
      index = endOfRun(text, start);
      tokens += tokensOfRun(text, start, index);
    } else {
      tokens += bytesOf(code);
      index++;
    }
  }
  return Math.ceil(tokens * 1.1) + 2;
}

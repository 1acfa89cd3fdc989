/** Takes secrets out of a text: those we know by value, and those that show by their shape. */

const CENSOR = '[redacted]';

/** Shorter values would take harmless words out of every line. */
const MIN_SECRET_LENGTH = 6;

/** Credentials that may turn up before, or without, being known: in a bad configuration, in somebody's URL. */
const SHAPES = new RegExp(
  [
    String.raw`\d{6,12}:[A-Za-z0-9_-]{30,}`, // a Telegram bot token, also within /bot…/getMe
    String.raw`\bx(?:ox[a-z]|app)-[A-Za-z0-9-]{10,}`, // Slack
    String.raw`\b(?:sk|pk)-[A-Za-z0-9_-]{16,}`, // model providers' keys
    String.raw`(?<=\bBearer )[A-Za-z0-9._~+/=-]{8,}`,
    String.raw`(?<=:\/\/[^\s/:@"]{0,64}:)[^\s/@"]{1,256}(?=@)`, // the password in a URL
  ].join('|'),
  'g',
);

/**
 * Returns a function that replaces secrets in a text. The list is asked for each time, so that secrets learnt later
 * are covered; as long as it returns the same array, nothing is rebuilt.
 */
export function createRedactor(secrets: () => readonly string[]): (text: string) => string {
  let builtFrom: readonly string[] | undefined;
  let known: RegExp | undefined;
  return (text) => {
    const list = secrets();
    if (list !== builtFrom) {
      builtFrom = list;
      known = pattern(list);
    }
    const clean = known ? text.replace(known, CENSOR) : text;
    return clean.replace(SHAPES, CENSOR);
  };
}

function pattern(secrets: readonly string[]): RegExp | undefined {
  const forms = new Set(secrets.filter((secret) => secret.length >= MIN_SECRET_LENGTH).flatMap(disguises));
  if (forms.size === 0) return undefined;
  // The longest first: one secret may be the beginning of another.
  const sorted = [...forms].sort((a, b) => b.length - a.length);
  return new RegExp(
    sorted.map((form) => form.replace(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`)).join('|'),
    'g',
  );
}

/** The secret as it looks within JSON, within JSON within JSON, and within a URL. */
function disguises(secret: string): string[] {
  const escaped = JSON.stringify(secret).slice(1, -1);
  const twice = JSON.stringify(escaped).slice(1, -1);
  // By way of bytes, because half a surrogate pair has no percent encoding.
  const inUrl = encodeURIComponent(Buffer.from(secret).toString());
  return [secret, escaped, twice, inUrl];
}

/** People, the accounts they write from, and the codes by which strangers are let in. */
import { randomInt } from 'node:crypto';
import type { Sender } from '../message.ts';
import type { Database } from './database.ts';

export interface Person {
  id: number;
  role: 'owner' | 'member';
}

export interface Identity extends Person {
  name: string;
  pairedAt: number | null;
}

export interface Pairing {
  code: string;
  channel: string;
  userId: string;
  name: string;
  conversation: string;
  expiresAt: number;
}

/** A code is valid for an hour. */
const CODE_LIFETIME_MS = 3_600_000;
/** So many strangers may wait at once; more get no code until one expires. */
const MOST_PENDING = 3;
/** So many wrong codes void the pending ones; and so often a stranger is shown the code. */
const MOST_TRIES = 5;
/** Without letters and digits that are mistaken for one another when read aloud or copied. */
const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZ23456789';
const CODE_LENGTH = 8;

export function createPeople(database: Database) {
  const find = database.prepare<[string, string], Identity>(`
    SELECT people.id, people.role, identities.name, identities.paired_at AS pairedAt
    FROM identities JOIN people ON people.id = identities.person WHERE channel = ? AND user_id = ?`);
  const addPerson = database
    .prepare<[string, number], number>('INSERT INTO people (role, created_at) VALUES (?, ?) RETURNING id')
    .pluck();
  const addIdentity = database.prepare(
    'INSERT INTO identities (channel, user_id, person, name, paired_at) VALUES (?, ?, ?, ?, ?)',
  );
  const rename = database.prepare('UPDATE identities SET name = ? WHERE channel = ? AND user_id = ?');
  const setPaired = database.prepare('UPDATE identities SET paired_at = ? WHERE channel = ? AND user_id = ?');
  const setRole = database.prepare('UPDATE people SET role = ? WHERE id = ?');
  const owners = database
    .prepare<[], number>(`
      SELECT count(*) FROM identities JOIN people ON people.id = identities.person
      WHERE role = 'owner' AND paired_at IS NOT NULL`)
    .pluck();
  const expire = database.prepare('DELETE FROM pairings WHERE expires_at <= ?');
  const pendingOf = database.prepare<[string, string], Pairing & { shown: number }>(`
    SELECT code, channel, user_id AS userId, name, conversation, expires_at AS expiresAt, shown
    FROM pairings WHERE channel = ? AND user_id = ?`);
  const pending = database.prepare<[], Pairing>(`
    SELECT code, channel, user_id AS userId, name, conversation, expires_at AS expiresAt
    FROM pairings ORDER BY expires_at`);
  const addPairing = database.prepare(`
    INSERT INTO pairings (code, channel, user_id, name, conversation, expires_at) VALUES (?, ?, ?, ?, ?, ?)`);
  const countShown = database.prepare('UPDATE pairings SET shown = shown + 1 WHERE code = ?');
  const countTry = database.prepare('UPDATE pairings SET tries = tries + 1');
  const dropTried = database.prepare('DELETE FROM pairings WHERE tries >= ?');
  const dropPairing = database.prepare('DELETE FROM pairings WHERE code = ?');

  /** Makes the person behind a platform account, or returns the one that is there. */
  const ensure = database.transaction(
    (channel: string, sender: Sender, role: Person['role'], now: number): Identity => {
      const there = find.get(channel, sender.id);
      if (there) {
        if (there.name !== sender.name) rename.run(sender.name, channel, sender.id);
        return there;
      }
      const person = addPerson.get(role, now);
      addIdentity.run(channel, sender.id, person, sender.name, null);
      return { id: person as number, role, name: sender.name, pairedAt: null };
    },
  );

  const makeCode = () =>
    Array.from({ length: CODE_LENGTH }, () => ALPHABET[randomInt(ALPHABET.length)]).join('');
  const dropLinks = database.prepare('DELETE FROM links WHERE expires_at <= ? OR person = ?');
  const addLink = database.prepare('INSERT INTO links (code, person, expires_at) VALUES (?, ?, ?)');
  const links = database.prepare<[number], { code: string; person: number }>(
    'SELECT code, person FROM links WHERE expires_at > ?',
  );
  const countLinkTry = database.prepare('UPDATE links SET tries = tries + 1');
  const dropTriedLinks = database.prepare('DELETE FROM links WHERE tries >= ?');
  const moveIdentities = database.prepare(
    'UPDATE identities SET person = @to, paired_at = coalesce(paired_at, @now) WHERE person = @from',
  );
  const moveConversations = database.prepare('UPDATE conversations SET person = @to WHERE person = @from');
  const moveAsks = database.prepare('UPDATE asks SET person = @to WHERE person = @from');
  const dropPerson = database.prepare('DELETE FROM people WHERE id = ?');
  const dropPairings = database.prepare(`
    DELETE FROM pairings WHERE (channel, user_id) IN (SELECT channel, user_id FROM identities WHERE person = ?)`);
  const roleOf = database.prepare<[number], Person['role']>('SELECT role FROM people WHERE id = ?').pluck();
  const identitiesOf = database.prepare<[number], { channel: string; userId: string; name: string }>(
    'SELECT channel, user_id AS userId, name FROM identities WHERE person = ? ORDER BY rowid',
  );
  const linkOf = (code: string, now: number) =>
    links.all(now).find((link) => link.code === code.trim().toUpperCase());

  return {
    /** The accounts that a person writes from. */
    identities: (person: number) => identitiesOf.all(person),

    /** A code by which this person can prove, within an hour, that another account is theirs too. */
    startLink: database.transaction((person: number, now: number): string => {
      dropLinks.run(now, person);
      const code = makeCode();
      addLink.run(code, person, now + CODE_LIFETIME_MS);
      return code;
    }),

    /** Whether a code would link. A wrong one counts as a try: after five, all codes are void. */
    linkHolds: database.transaction((code: string, now: number): boolean => {
      if (code === '') return false;
      if (linkOf(code, now)) return true;
      countLinkTry.run();
      dropTriedLinks.run(MOST_TRIES);
      return false;
    }),

    /**
     * Makes the owner of `code` and `person` one: accounts and conversations become those of whoever made the code.
     * Returns that person's id, or undefined when the code is wrong.
     */
    link: database.transaction((code: string, person: number, now: number): number | undefined => {
      const link = linkOf(code, now);
      if (!link) return undefined;
      dropLinks.run(now, link.person);
      if (link.person === person) return person;
      if (roleOf.get(person) === 'owner') setRole.run('owner', link.person);
      moveIdentities.run({ from: person, to: link.person, now });
      moveConversations.run({ from: person, to: link.person });
      moveAsks.run({ from: person, to: link.person });
      dropPerson.run(person);
      return link.person;
    }),

    /** Forgets a person: who they are, and that they were let in. */
    forget: database.transaction((person: number): void => {
      dropPairings.run(person);
      dropPerson.run(person);
    }),

    /** Drops codes that have expired, and with them the names of those who were shown them. */
    prune: (now: number): number => expire.run(now).changes + dropLinks.run(now, null).changes,

    find: (channel: string, userId: string) => find.get(channel, userId),
    ensure,

    /**
     * The code a stranger is to be shown, or undefined when there is none to show: too many wait, or this one has
     * been shown it often enough.
     */
    requestPairing: database.transaction(
      (channel: string, sender: Sender, conversation: string, now: number): string | undefined => {
        expire.run(now);
        const there = pendingOf.get(channel, sender.id);
        if (there) {
          if (there.shown >= MOST_TRIES) return undefined;
          countShown.run(there.code);
          return there.code;
        }
        if (pending.all().length >= MOST_PENDING) return undefined;
        const code = makeCode();
        addPairing.run(code, channel, sender.id, sender.name, conversation, now + CODE_LIFETIME_MS);
        return code;
      },
    ),

    pendingPairings(now: number): Pairing[] {
      expire.run(now);
      return pending.all();
    },

    /**
     * Lets in whoever was shown `code`; the first person let in is the owner. Returns undefined on a wrong code;
     * after five of those the pending codes are void.
     */
    approvePairing: database.transaction((code: string, now: number): (Pairing & Person) | undefined => {
      expire.run(now);
      const wanted = code.trim().toUpperCase();
      const pairing = pending.all().find((candidate) => candidate.code === wanted);
      if (!pairing) {
        countTry.run();
        dropTried.run(MOST_TRIES);
        return undefined;
      }
      const first = owners.get() === 0;
      const person = ensure(pairing.channel, { id: pairing.userId, name: pairing.name }, 'member', now);
      setPaired.run(now, pairing.channel, pairing.userId);
      if (first) setRole.run('owner', person.id);
      dropPairing.run(pairing.code);
      return { ...pairing, id: person.id, role: first ? 'owner' : person.role };
    }),
  };
}

export type People = ReturnType<typeof createPeople>;

// Who is in the room, and what its host may do, as the worker says it. The
// worker checks every wish again; this is for showing. Pure but for the clock.

const MAX_LIST = 200;
const PATIENCE = 6000; // ms an invitation may take

/** What is known of a room that says nothing of its people. */
export const alone = Object.freeze({ you: '', host: false, closed: false, members: Object.freeze([]), invitations: Object.freeze([]) });

const list = (value, make) => Object.freeze((Array.isArray(value) ? value : []).slice(0, MAX_LIST)
  .filter((one) => one && typeof one.id === 'string').map((one) => Object.freeze(make(one))));

const member = (m) => ({
  id: m.id, name: String(m.name ?? '').slice(0, 64), player: m.player | 0,
  host: Boolean(m.host), muted: Boolean(m.muted), away: Boolean(m.away),
});

const invitation = (i) => ({
  id: i.id, player: i.player | 0, watch: Boolean(i.watch), single: Boolean(i.single),
  used: Boolean(i.used), expires: Number(i.expires) || 0,
});

/** What a room message says of its people; one without members says nothing. */
export function company(before, news) {
  if (!Array.isArray(news.members)) return before;
  const host = Boolean(news.host);
  return Object.freeze({
    you: String(news.you ?? before.you), host, closed: Boolean(news.closed),
    members: list(news.members, member), invitations: host ? list(news.invitations, invitation) : alone.invitations,
  });
}

/** What somebody should be told about a change, in words. */
export function changes(before, after) {
  const own = (room) => room.members.find(({ id }) => id === room.you);
  const [was, is] = [own(before), own(after)];
  if (!was || !is) return [];
  return [
    !before.host && after.host && 'You are the host of this room now.',
    before.host && !after.host && 'Somebody else is the host of this room now.',
    !was.muted && is.muted && 'The host has muted your buttons.',
    was.muted && !is.muted && 'Your buttons count again.',
    before.closed !== after.closed && (after.closed ? 'The room is by invitation only now.' : 'The room is open: its link lets anybody in.'),
  ].filter(Boolean);
}

/** What is known of the room and one's seat once news have come. */
export function learned(info, news) {
  const known = { ...info };
  for (const key of [...Object.keys(info), 'players', 'viewers']) if (news[key] !== undefined) known[key] = news[key];
  return Object.freeze(known);
}

/** Who saved or loaded the game, in words. */
export function told({ type, by, member }, you) {
  if (member === you) return type === 'saved' ? 'Saved.' : 'Loaded.';
  return `${String(by).slice(0, 64)} ${type} the game.`;
}

/** What to call somebody. */
export const nameOf = (m) => m.name || (m.player ? `Player ${m.player}` : 'A guest');

/** Questions over the control channel, which are told apart by a ref. */
export class Questions {
  #clock;
  #send;
  #open = new Map();
  #next = 0;

  /** @param {(message: object) => boolean} send */
  constructor(clock, send) {
    this.#clock = clock;
    this.#send = send;
  }

  /** @returns {Promise<object>} the message that answers */
  ask(message) {
    const ref = `q${++this.#next}`;
    return new Promise((resolve, reject) => {
      if (!this.#send({ ...message, ref })) return reject(new Error('There is no connection to the game at the moment.'));
      const timer = this.#clock.after(PATIENCE, () => this.#settle(ref)?.reject(new Error('The room did not answer.')));
      this.#open.set(ref, { resolve, reject, timer });
    });
  }

  /** Takes an answer, or an error about a question. @returns {boolean} whether it was one */
  answer(message) {
    const ref = message.ref ?? (message.type === 'error' && this.#open.size === 1 ? [...this.#open.keys()][0] : '');
    const question = this.#settle(ref);
    if (message.type === 'error') question?.reject(new Error(message.message || message.code));
    else question?.resolve(message);
    return Boolean(question);
  }

  #settle(ref) {
    const question = this.#open.get(ref);
    this.#open.delete(ref);
    this.#clock.cancel(question?.timer);
    return question;
  }
}

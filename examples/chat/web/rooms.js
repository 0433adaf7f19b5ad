// What chat_rooms.py is spoken to: join a room, say something to it, see who is there.

export class Rooms {
  #send;
  #page;
  #wanted = null; // { room, name } to be in, also after the connection was lost
  #joined = null; // { room, name } the server confirmed
  #pending = []; // own texts that have not come back yet

  constructor(page, send) {
    this.#page = page;
    this.#send = send;
  }

  get ready() {
    return this.#joined !== null;
  }

  /** { room, name } as the server knows them, or null. */
  get place() {
    return this.#joined;
  }

  get empty() {
    if (this.#joined === null) return { title: "Pick a room", text: "Choose a name and a room above, then join." };
    const text = "Open this page in a second window, join the same room and say hello.";
    return { title: `Nobody has said a word in ${this.#joined.room}`, text };
  }

  opened() {
    if (this.#wanted !== null) this.#ask({ action: "join", ...this.#wanted });
  }

  closed() {
    // The list of who is here stays, dimmed: after a short break it is most often still right.
    this.#left();
  }

  join(room, name) {
    this.#wanted = { room, name };
    this.#ask({ action: "join", room, name });
  }

  leave() {
    this.#wanted = null;
    this.#ask({ action: "leave" });
    this.#left();
    this.#page.members(null);
    this.#page.note("You left");
  }

  say(text) {
    if (!this.ready || !this.#ask({ action: "say", text })) return false;
    this.#pending.push(text);
    return true;
  }

  receive(data) {
    const body = JSON.parse(data);
    const handlers = {
      welcome: () => this.#welcome(body),
      joined: () => this.#changed(body, `${body.name} joined`),
      left: () => this.#changed(body, `${body.name} left`),
      said: () => this.#said(body),
      error: () => this.#page.problem(body.message),
    };
    // The gateway's own errors have no type, only a message.
    (handlers[body.type] ?? (() => this.#page.problem(body.message ?? "The server sent something unknown.")))();
  }

  #ask(body) {
    return this.#send(JSON.stringify(body));
  }

  #welcome({ room, name, members }) {
    this.#joined = { room, name };
    this.#page.entered(room);
    this.#page.note(`You joined ${room} as ${name}`);
    this.#page.members(members, name);
  }

  #changed({ members }, note) {
    // What was under way when this page left is no longer its business.
    if (this.#joined === null) return;
    this.#page.note(note);
    this.#page.members(members, this.#joined.name);
  }

  #said({ name, text, at }) {
    if (this.#joined === null) return;
    this.#page.message({ name, text, at, own: name === this.#joined.name && this.#wasSent(text) });
  }

  /** Two people may share a name; only what was sent from here is one's own, and it comes back in order. */
  #wasSent(text) {
    const index = this.#pending.indexOf(text);
    if (index >= 0) this.#pending.splice(0, index + 1);
    return index >= 0;
  }

  #left() {
    this.#joined = null;
    this.#pending = [];
  }
}

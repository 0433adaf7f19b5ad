// A WebSocket that comes back by itself.
//
// States: "connecting" until the first attempt has ended, then "online" or "reconnecting".

const FIRST_WAIT = 500;
const LONGEST_WAIT = 15_000;
const ATTEMPT_LIMIT = 10_000;
const PROVEN_AFTER = 5_000;

export class Connection {
  #url;
  #handlers;
  #socket = null;
  #failures = 0;
  #retryAt = 0;
  #retryTimer = 0;
  #tickTimer = 0;
  #attemptTimer = 0;
  #provenTimer = 0;

  /** `handlers`: state(name, secondsLeft), open(), message(text). */
  constructor(url, handlers) {
    this.#url = url;
    this.#handlers = handlers;
    addEventListener("online", () => this.#retryNow());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#retryNow();
    });
  }

  get online() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  start() {
    this.#handlers.state("connecting", 0);
    this.#attempt();
  }

  /** Returns whether the message was taken; if not, it is still the caller's. */
  send(text) {
    if (!this.online) return false;
    this.#socket.send(text);
    return true;
  }

  #attempt() {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    // A handshake that nobody answers would otherwise hold up everything for minutes.
    this.#attemptTimer = setTimeout(() => this.#lost(socket), ATTEMPT_LIMIT);
    socket.onopen = () => this.#opened(socket);
    socket.onmessage = (event) => {
      if (socket === this.#socket && typeof event.data === "string") this.#handlers.message(event.data);
    };
    socket.onclose = () => this.#lost(socket);
  }

  #opened(socket) {
    if (socket !== this.#socket) return socket.close();
    clearTimeout(this.#attemptTimer);
    // A server that accepts and then hangs up at once must not be called twice a second for ever.
    this.#provenTimer = setTimeout(() => (this.#failures = 0), PROVEN_AFTER);
    this.#handlers.state("online", 0);
    this.#handlers.open();
  }

  #lost(socket) {
    if (socket !== this.#socket) return;
    this.#socket = null;
    socket.close();
    clearTimeout(this.#attemptTimer);
    clearTimeout(this.#provenTimer);
    this.#wait();
  }

  #wait() {
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    // Full jitter: the clients of a server that restarts do not all come back in the same instant.
    const wait = Math.random() * longest;
    this.#retryAt = Date.now() + wait;
    this.#retryTimer = setTimeout(() => this.#retryNow(), wait);
    this.#tick();
  }

  #tick() {
    const left = Math.max(0, this.#retryAt - Date.now());
    this.#handlers.state("reconnecting", Math.ceil(left / 1000));
    this.#tickTimer = setTimeout(() => this.#tick(), left % 1000 || 1000);
  }

  #retryNow() {
    if (this.#socket !== null || this.#retryAt === 0) return;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#tickTimer);
    this.#handlers.state("reconnecting", 0);
    this.#attempt();
  }
}

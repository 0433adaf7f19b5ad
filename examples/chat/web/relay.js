// What chat.py is spoken to: it passes every text on to everyone else, so the page shows its own at once.

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}

/** Anybody may send anything, from a terminal too: what is no message of this page is shown as it came. */
function messageOf(data) {
  const body = parsed(data);
  if (!isObject(body) || typeof body.text !== "string") return { name: "anonymous", text: data, at: Date.now() };
  const name = typeof body.name === "string" ? body.name.trim().slice(0, 32) : "";
  return { name: name || "anonymous", text: body.text, at: typeof body.at === "string" ? body.at : Date.now() };
}

/** The gateway's own answer to the sender, when a handler failed or a limit was reached. */
function errorOf(data) {
  const body = parsed(data);
  return isObject(body) && typeof body.message === "string" && "requestId" in body ? body.message : null;
}

export class Relay {
  empty = {
    title: "It is quiet here",
    text: "Open this page in a second window and say hello: whatever one window sends, every other one gets.",
  };
  ready = true;
  place = null;

  #send;
  #page;

  /** `page` is what chat.js shows things with; `send` takes a text and says whether it went. */
  constructor(page, send) {
    this.#page = page;
    this.#send = send;
  }

  opened() {}

  closed() {}

  say(text, name) {
    const message = { name, text, at: new Date().toISOString() };
    if (!this.#send(JSON.stringify({ action: "say", ...message }))) return false;
    this.#page.message({ ...message, own: true });
    return true;
  }

  receive(data) {
    const error = errorOf(data);
    if (error !== null) this.#page.note(`The server says: ${error}`);
    else this.#page.message(messageOf(data));
  }
}

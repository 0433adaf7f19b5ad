// The log of messages: bubbles, notices, and scrolling that never takes the page away from a reader.

import { paint } from "./names.js";

const MOST = 500;
const LONGEST_TEXT = 8_000;
const TOGETHER_MS = 3 * 60_000;
const NEAR_BOTTOM_PX = 48;

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "long", timeStyle: "medium" });

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text; // never innerHTML: strangers wrote it
  return made;
}

const shortened = (text) => (text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT)}…` : text);

function timeOf(at) {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? new Date() : time;
}

function bubble({ name, text, at, own }) {
  const item = element("li", own ? "message own" : "message", "");
  item.dataset.testid = "message";
  item.dataset.author = name;
  paint(item, name);
  const head = element("div", "message-head", "");
  head.append(element("bdi", "message-author", name), timeElement(at));
  const body = element("div", "message-text", shortened(text));
  body.dataset.testid = "message-text";
  item.append(head, body);
  return item;
}

function timeElement(at) {
  const time = element("time", "message-time", clock.format(at));
  time.dateTime = at.toISOString();
  time.title = full.format(at);
  return time;
}

export class Messages {
  #list = document.getElementById("messages");
  #scroller = document.getElementById("scroller");
  #newer = document.getElementById("newer");
  #last = null;
  #unseen = 0;
  #following = true;

  constructor() {
    this.#newer.addEventListener("click", () => this.#toBottom());
    this.#scroller.addEventListener("scroll", () => this.#scrolled());
    // A keyboard that slides in, or a longer draft, must not push the newest message out of sight.
    new ResizeObserver(() => this.#following && !this.empty && this.#toBottom()).observe(this.#scroller);
  }

  get empty() {
    return this.#list.querySelector(".message") === null;
  }

  /** Shows a message: { name, text, at, own }; `at` is anything a Date understands. */
  add({ name, text, at, own = false }) {
    const time = timeOf(at);
    const item = bubble({ name, text, at: time, own });
    item.classList.toggle("follows", this.#follows(name, own, time));
    this.#last = { name, own, time };
    this.#append(item, own);
  }

  /** Shows a line that nobody said, such as who came. */
  note(text) {
    this.#last = null;
    this.#append(element("li", "notice", shortened(text)), false);
  }

  clear() {
    this.#list.replaceChildren();
    this.#last = null;
    this.#seen();
  }

  #follows(name, own, time) {
    const last = this.#last;
    return last !== null && last.name === name && last.own === own && Math.abs(time - last.time) < TOGETHER_MS;
  }

  #append(item, own) {
    this.#list.append(item);
    while (this.#list.childElementCount > MOST) this.#list.firstElementChild.remove();
    this.#list.firstElementChild.classList.remove("follows");
    if (own || this.#following) this.#toBottom();
    else this.#countUnseen(item);
  }

  #countUnseen(item) {
    if (!item.classList.contains("message")) return;
    this.#unseen += 1;
    this.#newer.textContent = this.#unseen === 1 ? "1 new message ↓" : `${this.#unseen} new messages ↓`;
    this.#newer.hidden = false;
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
    if (this.#following) this.#seen();
  }

  #toBottom() {
    this.#following = true;
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
    this.#seen();
  }

  #seen() {
    this.#unseen = 0;
    this.#newer.hidden = true;
  }
}

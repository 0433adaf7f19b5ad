// The page: which chat it is, what is on it, and what the person in front of it does.

import { Connection } from "./connection.js";
import { Messages } from "./messages.js";
import { keepName, keptName, paint, randomName } from "./names.js";
import { Relay } from "./relay.js";
import { Rooms } from "./rooms.js";

const byId = (id) => document.getElementById(id);
const root = document.documentElement;
const query = new URLSearchParams(location.search);
const asked = query.get("socket") ?? "";
const socketName = /^[A-Za-z0-9_-]{1,128}$/.test(asked) ? asked : "socket";
const inRooms = socketName === "rooms";

const [name, room, text, send] = ["name", "room", "text", "send"].map(byId);
const messages = new Messages();
let wasOnline = false;
let missed = 0;

// What a chat shows things with ---------------------------------------------------------------------------------

const page = {
  message(message) {
    messages.add(message);
    if (document.hidden) showMissed(missed + 1);
    refresh();
  },
  note: (line) => messages.note(line),
  problem(line) {
    byId("problem").textContent = line;
    byId("problem").hidden = !line;
  },
  /** The page is in a room now; another room's messages are not this one's. */
  entered(entered) {
    page.problem("");
    if (root.dataset.room !== entered) messages.clear();
    root.dataset.room = entered;
    refresh();
  },
  /** Who is there, or null when this page is in no room. */
  members(names, self) {
    byId("members").replaceChildren(...(names ?? []).map((each) => member(each, each === self)));
    byId("people-title").textContent = names === null ? "Here now" : `Here now · ${names.length}`;
    document.querySelector(".people").hidden = names === null;
    refresh();
  },
};

function member(each, own) {
  const item = document.createElement("li");
  item.classList.toggle("own", own);
  item.append(Object.assign(document.createElement("span"), { textContent: each, title: each }));
  paint(item, each);
  return item;
}

function showMissed(count) {
  missed = count;
  document.title = missed > 0 ? `(${missed}) Trunkline chat` : "Trunkline chat";
}

// The state of the connection -----------------------------------------------------------------------------------

const connection = new Connection(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/${socketName}`, {
  state: showState,
  open: () => chat.opened(),
  message: (data) => chat.receive(data),
});
const chat = new (inRooms ? Rooms : Relay)(page, (data) => connection.send(data));

function showState(state, seconds) {
  const before = root.dataset.state;
  root.dataset.state = state;
  const status = byId("status-text");
  if (state === "online") status.textContent = "Online";
  if (state === "connecting") status.textContent = "Connecting…";
  if (state === "reconnecting") status.textContent = "Reconnecting";
  byId("countdown").textContent = state !== "reconnecting" ? "" : seconds > 0 ? ` in ${seconds} s` : "…";
  if (state === "online") wasOnline = true;
  if (before === "online" && state !== "online") chat.closed();
  refresh();
}

/** Brings everything that depends on the state, the draft and the log in line with them. */
function refresh() {
  const online = root.dataset.state === "online";
  send.disabled = !online || !chat.ready || text.value.trim() === "";
  showJoin(online);
  byId("leave").hidden = !chat.ready || !inRooms;
  byId("hint").textContent = hint(online);
  text.placeholder = online && !chat.ready ? "Join a room to write to it" : "Write a message";
  showPlaceholder(online);
}

/** Whoever is in a room has nothing to join until another room or name stands in the fields. */
function showJoin(online) {
  const here = chat.place?.room === room.value.trim();
  byId("join").disabled = !online || inPlace();
  byId("join").textContent = inPlace() ? "Joined" : here ? "Rename" : "Join";
}

function inPlace() {
  return chat.place?.room === room.value.trim() && chat.place.name === name.value.trim();
}

function hint(online) {
  if (!online && wasOnline) return "Connection lost. What you write stays here.";
  return online && chat.ready ? "Enter sends, Shift + Enter starts a new line" : "";
}

function showPlaceholder(online) {
  byId("waiting").hidden = online || wasOnline || !messages.empty;
  byId("empty").hidden = !online || !messages.empty;
  byId("empty-title").textContent = chat.empty.title;
  byId("empty-text").textContent = chat.empty.text;
  byId("invite").hidden = !chat.ready;
  const failed = root.dataset.state === "reconnecting";
  byId("waiting-title").textContent = failed ? `Nobody answers at /${socketName}` : "Connecting…";
  byId("waiting-text").textContent = failed ? "Is the program running? This page keeps trying." : "";
  byId("waiting-command").textContent = failed ? command() : "";
  byId("waiting-command").hidden = !failed || command() === "";
}

function command() {
  const known = ["socket", "rooms"].includes(socketName);
  return known ? "trunkline run examples/chat/chat.py examples/chat/chat_rooms.py --web examples/chat/web" : "";
}

// The person ----------------------------------------------------------------------------------------------------

function useName(value, keep) {
  name.value = value.trim() || randomName();
  showName();
  if (keep) keepName(name.value);
}

function showName() {
  paint(byId("avatar"), name.value.trim() || "?");
}

/** A second window is a second person: it gets a name of its own, which nothing keeps. */
function offerInvite() {
  const invited = { socket: socketName, name: randomName() };
  if (inRooms) invited.room = room.value;
  byId("invite").href = `?${new URLSearchParams(invited)}`;
}

function join(event) {
  event.preventDefault();
  useName(name.value, true);
  if (!inRooms || !connection.online) return;
  const wanted = room.value.trim();
  const valid = /^[A-Za-z0-9_-]{1,32}$/.test(wanted);
  page.problem(valid ? "" : "A room is 1 to 32 letters, digits, - and _.");
  if (!valid) return room.focus();
  chat.join(wanted, name.value);
  text.focus();
}

function say(event) {
  event.preventDefault();
  const said = text.value.trim();
  if (said === "" || !chat.say(said, name.value)) return;
  text.value = "";
  page.problem("");
  fitDraft();
  refresh();
}

function fitDraft() {
  if (CSS.supports("field-sizing", "content")) return;
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

function sendOnEnter(event) {
  // While an input method composes a character, Enter accepts it.
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  byId("composer").requestSubmit();
}

function listen() {
  name.addEventListener("input", () => (showName(), refresh()));
  name.addEventListener("change", () => (useName(name.value, true), refresh()));
  room.addEventListener("input", () => (offerInvite(), refresh()));
  byId("identity").addEventListener("submit", join);
  byId("leave").addEventListener("click", () => chat.leave());
  byId("composer").addEventListener("submit", say);
  byId("invite").addEventListener("click", () => setTimeout(offerInvite));
  text.addEventListener("input", () => (fitDraft(), refresh()));
  text.addEventListener("keydown", sendOnEnter);
  document.addEventListener("visibilitychange", () => document.hidden || showMissed(0));
}

/** Marks the chat that this is, and keeps an invited person's name on the way to the other one. */
function prepareSwitch() {
  for (const link of document.querySelectorAll(".switch a")) {
    const target = { socket: link.dataset.socket };
    if (query.has("name")) target.name = query.get("name");
    link.href = `?${new URLSearchParams(target)}`;
    if (link.dataset.socket === socketName) link.setAttribute("aria-current", "page");
  }
}

function begin() {
  root.dataset.chat = inRooms ? "rooms" : "relay";
  prepareSwitch();
  room.value = query.get("room") ?? "lobby";
  useName((query.get("name") ?? keptName()).slice(0, 32), false);
  offerInvite();
  listen();
  connection.start();
}

begin();

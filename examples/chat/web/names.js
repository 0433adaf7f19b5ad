// Names of people: a pleasant one to begin with, the one that was kept, and what a name looks like.

const KEY = "trunkline-chat-name";
// Hues on the circle of oklch.
const COLOURS = {
  Amber: 75, Azure: 245, Coral: 32, Crimson: 18, Golden: 90, Indigo: 275,
  Jade: 160, Lilac: 308, Olive: 115, Plum: 335, Russet: 50, Teal: 195,
};
const ANIMALS = ["Badger", "Dolphin", "Falcon", "Finch", "Fox", "Hare", "Heron", "Lynx", "Otter", "Owl", "Robin", "Swift"];

const anyOf = (list) => list[Math.floor(Math.random() * list.length)];

export const randomName = () => `${anyOf(Object.keys(COLOURS))} ${anyOf(ANIMALS)}`;

/** The name that was kept, or a new one. Storage may be forbidden; the chat works without it. */
export function keptName() {
  try {
    return localStorage.getItem(KEY) || randomName();
  } catch {
    return randomName();
  }
}

export function keepName(name) {
  try {
    localStorage.setItem(KEY, name);
  } catch {
    // Then it is forgotten with the page.
  }
}

/** A hue from 0 to 359, the same for the same name everywhere; a Teal Heron is teal. */
export function hueOf(name) {
  const first = name.split(" ", 1)[0];
  return Object.hasOwn(COLOURS, first) ? COLOURS[first] : hashOf(name) % 360;
}

function hashOf(name) {
  let hash = 2166136261;
  for (const character of name) hash = Math.imul(hash ^ character.codePointAt(0), 16777619);
  // Spread: names that differ in one letter should not look alike.
  hash = Math.imul(hash ^ (hash >>> 15), 2246822507);
  return hash >>> 8;
}

export function initialsOf(name) {
  const words = name.split(/\s+/).filter(Boolean);
  return words.slice(0, 2).map((word) => [...word][0]).join("").toUpperCase();
}

/** Gives an element a person's colour and initials. */
export function paint(element, name) {
  element.style.setProperty("--hue", hueOf(name));
  element.dataset.initials = initialsOf(name);
}

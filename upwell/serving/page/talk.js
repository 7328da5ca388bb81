// A conversation as a tree: an edited message or another answer is a branch beside the first. Pure data, kept as it
// is and exported as it is; knows no nodes, no words and no server.
//
// {id, title, system, created, changed, turns: [{id, parent, role, content, ...}], chosen: {parent: id}}
// A turn's parent is the id of an earlier one, or 0 for the first.

const FORMAT = "upwell-conversations";
const ROLES = ["user", "assistant"];
const TITLE_LENGTH = 48;

export const newTalk = (now = Date.now()) => ({ id: crypto.getRandomValues(new Uint32Array(3)).join("-"), title: "", system: "", created: now, changed: now, turns: [], chosen: {} });

export function add(talk, parent, role, content) {
  const id = 1 + talk.turns.reduce((most, turn) => Math.max(most, turn.id), 0);
  talk.turns.push({ id, parent, role, content });
  talk.chosen[parent] = id;
  talk.changed = Date.now();
  return talk.turns.at(-1); // what is kept, not a copy of it
}

export const find = (talk, id) => talk.turns.find((turn) => turn.id === id);
export const branches = (talk, turn) => talk.turns.filter((one) => one.parent === turn.parent);

// The turns that are shown: from the first on, at each fork the chosen one.
export function path(talk) {
  const shown = [];
  for (let parent = 0; ; parent = shown.at(-1).id) {
    const next = talk.turns.filter((turn) => turn.parent === parent);
    if (!next.length) return shown;
    shown.push(next.find((turn) => turn.id === talk.chosen[parent]) ?? next.at(-1));
  }
}

// The turns that lead to one, it included.
export function upTo(talk, turn) {
  const before = [];
  for (let one = turn; one; one = find(talk, one.parent)) before.unshift(one);
  return before;
}

export function choose(talk, turn) {
  talk.chosen[turn.parent] = turn.id;
}

// Take a turn out, and all that follows it.
export function remove(talk, turn) {
  const gone = new Set([turn.id]);
  for (const one of talk.turns) if (gone.has(one.parent)) gone.add(one.id); // parents come before their children
  talk.turns = talk.turns.filter((one) => !gone.has(one.id));
  for (const id of gone) delete talk.chosen[id];
  if (talk.chosen[turn.parent] === turn.id) delete talk.chosen[turn.parent];
  talk.changed = Date.now();
}

export function titleOf(talk) {
  const first = talk.turns.find((turn) => turn.role === "user")?.content.replaceAll(/\s+/g, " ").trim() ?? "";
  return talk.title || ([...first].length > TITLE_LENGTH ? [...first].slice(0, TITLE_LENGTH).join("") + "…" : first);
}

export function holds(talk, wanted) {
  const lower = wanted.trim().toLowerCase();
  return [titleOf(talk), talk.system, ...talk.turns.map((turn) => turn.content)].some((text) => text.toLowerCase().includes(lower));
}

// ---- files ----

export const exported = (talks) => JSON.stringify({ format: FORMAT, version: 1, conversations: talks }, null, 1);

// The conversations of a file, with ids of their own; raises where anything in it is not as it must be.
export function imported(text) {
  const file = JSON.parse(text);
  if (file?.format !== FORMAT || file.version !== 1 || !Array.isArray(file.conversations)) throw new TypeError("not conversations");
  return file.conversations.map(checked);
}

// Only what is known is taken over, each part of the kind that it must be.
function checked(value) {
  const turns = [], ids = new Set([0]);
  for (const turn of value.turns) {
    if (!Number.isSafeInteger(turn.id) || ids.has(turn.id) || !ids.has(turn.parent) || !ROLES.includes(turn.role)) throw new TypeError("turns");
    ids.add(turn.id);
    turns.push({ id: turn.id, parent: turn.parent, role: turn.role, content: textIn(turn.content), ...told(turn) });
  }
  const chosen = Object.fromEntries(turns.map((turn) => [turn.parent, value.chosen?.[turn.parent]]).filter(([, id]) => ids.has(id)));
  return { ...newTalk(), title: textIn(value.title), system: textIn(value.system), created: numberIn(value.created), changed: numberIn(value.changed), turns, chosen };
}

function told({ finish, written, read, perSecond, model }) {
  const numbers = Object.entries({ written, read, perSecond }).filter(([, number]) => Number.isFinite(number));
  const texts = Object.entries({ finish, model }).filter(([, text]) => typeof text === "string");
  return Object.fromEntries([...numbers, ...texts]);
}

function textIn(value) {
  if (typeof value !== "string") throw new TypeError("text");
  return value;
}

function numberIn(value) {
  if (!Number.isFinite(value)) throw new TypeError("number");
  return value;
}

// The page: type the beginning of a text and watch the model go on. Talks to /v1/completions, /v1/chat/completions
// and /v1/models of its own origin only. What a model writes becomes text nodes, never markup.

import { WORDS } from "/words.js";

const at = (id) => document.getElementById(id);
const KNOBS = {
  temperature: { min: 0, max: 2, step: 0.05, usual: 0.8 },
  length: { min: 10, max: 1000, step: 10, usual: 200 },
  top_k: { min: 0, max: 200, step: 1, usual: 0 },
  top_p: { min: 0.05, max: 1, step: 0.05, usual: 1 },
  repetition_penalty: { min: 1, max: 2, step: 0.05, usual: 1 },
  seed: { usual: null },
};
const YOU = "y", MODEL = "m";
const UNDO_STEPS = 50;

// ---- what is remembered in this browser ----

function remembered(name, otherwise) {
  try {
    return JSON.parse(localStorage.getItem("upwell." + name)) ?? otherwise;
  } catch {
    return otherwise; // storage may be off, or hold what an older page wrote
  }
}

function remember(name, value) {
  try {
    localStorage.setItem("upwell." + name, JSON.stringify(value));
  } catch { /* a full or forbidden storage only forgets */ }
}

const state = {
  mode: "write",
  language: remembered("language", navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"),
  theme: remembered("theme", null),
  knobs: { ...usualKnobs(), ...remembered("knobs", {}) },
  model: null, context: null, charactersPerToken: null,
  text: "", marks: "", // marks: who wrote each UTF-16 unit of the text
  unseen: 0, // units at the beginning that the model no longer sees
  past: [], // what Undo brings back: {text, marks, wrote}
  talk: [], // {role, content}
  running: null, // the AbortController of what is being written
};

function usualKnobs() {
  return Object.fromEntries(Object.entries(KNOBS).map(([name, knob]) => [name, knob.usual]));
}

const word = (name) => WORDS[state.language][name];

// ---- language, theme, settings ----

function speak() {
  document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
  for (const element of document.querySelectorAll("[data-word]")) element.textContent = word(element.dataset.word);
  for (const element of document.querySelectorAll("[data-hint]")) element.placeholder = word(element.dataset.hint);
  for (const element of document.querySelectorAll("[data-label]")) {
    element.setAttribute("aria-label", word(element.dataset.label));
    if (element.tagName === "BUTTON") element.title = word(element.dataset.label);
  }
  at("language").textContent = word("otherLanguage");
  showStarters();
  showKnobs();
  showButtons();
}

function showTheme() {
  if (state.theme) document.documentElement.dataset.theme = state.theme;
  else delete document.documentElement.dataset.theme;
}

function switchTheme() {
  const dark = state.theme ? state.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  state.theme = dark ? "light" : "dark";
  remember("theme", state.theme);
  showTheme();
}

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function showStarters() {
  at("starters").replaceChildren(...word("starters").map((start) => {
    const button = element("button", { type: "button" }, start + "…");
    button.addEventListener("click", () => {
      remarkText(start);
      write();
    });
    return button;
  }));
}

function showKnobs() {
  at("knobs").replaceChildren(...Object.keys(KNOBS).map(knobRow));
}

function knobRow(name) {
  const [title, help] = word("knobs")[name], knob = KNOBS[name], value = state.knobs[name];
  const label = element("label", { for: "knob-" + name }, title);
  const small = element("small", { id: "help-" + name }, help);
  if (name === "seed") {
    const input = element("input", { id: "knob-seed", type: "number", min: 0, step: 1, "aria-describedby": "help-seed", placeholder: word("anySeed") });
    input.value = value ?? "";
    input.addEventListener("input", () => turn(name, input.value === "" || !input.checkValidity() ? null : Number(input.value)));
    return element("div", { class: "knob" }, label, input, small);
  }
  const output = element("output", { for: "knob-" + name }, shown(value));
  const { min, max, step } = knob;
  const input = element("input", { id: "knob-" + name, type: "range", min, max, step, "aria-describedby": "help-" + name });
  input.value = value;
  const fill = () => input.style.setProperty("--part", `${((input.value - min) / (max - min)) * 100}%`);
  fill();
  input.addEventListener("input", () => {
    fill();
    turn(name, Number(input.value));
    output.textContent = shown(Number(input.value));
  });
  return element("div", { class: "knob" }, label, output, input, small);
}

const shown = (value) => String(Math.round(value * 100) / 100);

function turn(name, value) {
  state.knobs[name] = value;
  remember("knobs", state.knobs);
}

function showPanel(open) {
  at("panel").hidden = !open;
  at("settings").setAttribute("aria-expanded", String(open));
  at(open ? "close-panel" : "settings").focus();
}

// ---- the text and who wrote what ----

// The textarea is what one types in; its letters are transparent, and the mirror behind it shows them coloured.
function showText() {
  const { text, marks, unseen } = state, parts = [];
  for (let start = 0; start < text.length; ) {
    const border = start < unseen ? unseen : text.length;
    let end = start + 1;
    while (end < border && marks[end] === marks[start]) end++;
    const kind = start < unseen ? "unseen" : marks[start] === MODEL ? "model-wrote" : "you-wrote";
    parts.push(element("span", { class: kind }, text.slice(start, end)));
    start = end;
  }
  // An empty last line has no height of its own.
  at("mirror").replaceChildren(...parts, text === "" || text.endsWith("\n") ? "\u200b" : "");
  if (at("text").value !== text) at("text").value = text;
  showButtons();
}

// What one typed lies between the longest common beginning and end of the old and the new text.
function typed() {
  const before = state.text, after = at("text").value;
  let start = 0, end = 0;
  const most = Math.min(before.length, after.length);
  while (start < most && before[start] === after[start]) start++;
  while (end < most - start && before[before.length - 1 - end] === after[after.length - 1 - end]) end++;
  const inserted = YOU.repeat(after.length - start - end);
  state.marks = state.marks.slice(0, start) + inserted + state.marks.slice(before.length - end);
  state.text = after;
  state.unseen = 0;
  keep();
  showText();
}

function remarkText(text, marks = YOU.repeat(text.length)) {
  Object.assign(state, { text, marks, unseen: 0 });
  keep();
  showText();
}

function append(piece) {
  state.text += piece;
  state.marks += MODEL.repeat(piece.length);
  const follow = nearBottom();
  at("mirror").append(element("span", { class: "fresh" }, piece));
  at("text").value = state.text;
  if (follow) scrollTo({ top: document.documentElement.scrollHeight });
}

const nearBottom = () => innerHeight + scrollY > document.documentElement.scrollHeight - 120;
const keep = () => remember("draft", { text: state.text, marks: state.marks });

function snapshot(wrote) {
  state.past.push({ text: state.text, marks: state.marks, wrote });
  if (state.past.length > UNDO_STEPS) state.past.shift();
}

function undo() {
  const before = state.past.pop();
  if (before) remarkText(before.text, before.marks);
  say("");
  tell("");
}

function fresh() {
  if (state.mode === "chat") {
    state.talk = [];
    showTalk();
    at("say").focus();
  } else {
    if (state.text) snapshot(false);
    remarkText("");
    at("text").focus();
  }
  say("");
  tell("");
}

// ---- buttons, status, notes ----

function showButtons() {
  const busy = state.running !== null, chat = state.mode === "chat";
  document.body.classList.toggle("busy", busy);
  at("go-word").textContent = word(busy ? "stop" : chat ? "send" : state.text ? "goOn" : "write");
  const mac = /Mac|iPhone|iPad/.test(navigator.platform);
  at("go-key").textContent = busy ? "Esc" : chat ? "↵" : mac ? "⌘↵" : "Ctrl ↵";
  at("text").readOnly = busy;
  at("again").disabled = busy || !(chat ? state.talk.length : state.past.at(-1)?.wrote);
  at("undo").disabled = busy || state.past.length === 0;
  at("copy").disabled = state.text === "";
  at("fresh").disabled = busy || !(chat ? state.talk.length : state.text);
  at("starters").hidden = busy || state.text !== "";
  at("chat-empty").hidden = state.talk.length > 0;
}

const say = (text) => { at("status").textContent = text; };

function tell(text, wrong = false) {
  at("note").textContent = text;
  at("note").hidden = text === "";
  at("note").classList.toggle("wrong", wrong);
}

function switchMode(mode) {
  if (state.running) return;
  state.mode = document.body.dataset.mode = mode;
  at("write-view").hidden = mode !== "write";
  at("chat-view").hidden = mode !== "chat";
  for (const button of document.querySelectorAll("[data-mode-of]")) {
    button.setAttribute("aria-pressed", String(button.dataset.modeOf === mode));
  }
  say("");
  tell("");
  showButtons();
  at(mode === "chat" ? "say" : "text").focus();
}

// ---- the server ----

class Refused extends Error {
  constructor(status, error) {
    super(error?.message ?? String(status));
    this.status = status;
    this.code = error?.code;
  }
}

function headers() {
  let key = null;
  try {
    key = sessionStorage.getItem("upwell.key");
  } catch { /* no storage, no kept key */ }
  return { "Content-Type": "application/json", ...(key ? { Authorization: "Bearer " + key } : {}) };
}

async function asked(path, options = {}) {
  const answer = await fetch(path, { ...options, headers: headers() });
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  if (answer.status === 401) at("key-dialog").showModal();
  throw new Refused(answer.status, body?.error);
}

// Server-sent events as objects; an error event is thrown.
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "", done = false;
  while (!done) {
    const { value, done: ended } = await reader.read();
    if (ended) break;
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      if (block === "data: [DONE]") done = true;
      else if (block.startsWith("data: ")) yield sound(JSON.parse(block.slice(6)));
    }
  }
  if (!done) throw new Refused(0, { message: word("broken") });
}

function sound(event) {
  if (event.error) throw new Refused(500, event.error);
  return event;
}

// One request; `put` is called with each piece. Gives {finish, written, read}.
async function stream(path, body, signal, put) {
  const { temperature, top_k, top_p, repetition_penalty, seed } = state.knobs;
  const plain = {
    model: state.model, temperature, top_p, stream: true, stream_options: { include_usage: true },
    ...(top_k ? { top_k } : {}), ...(repetition_penalty === 1 ? {} : { repetition_penalty }), ...(seed === null ? {} : { seed }),
  };
  const answer = await asked(path, { method: "POST", body: JSON.stringify({ ...plain, ...body }), signal });
  const result = { finish: null, written: 0, read: 0 };
  for await (const event of events(answer)) {
    const choice = event.choices[0];
    if (choice) {
      result.finish = choice.finish_reason ?? result.finish;
      put(choice.text ?? choice.delta?.content ?? "");
    }
    if (event.usage) Object.assign(result, { written: event.usage.completion_tokens, read: event.usage.prompt_tokens });
  }
  return result;
}

// Pieces are drawn once a frame, however fast they come, and counted for tokens/s as they come.
class Meter {
  constructor(draw) {
    this.draw = draw;
    this.held = "";
    this.count = this.counted = 0;
    this.begun = this.frame = null;
  }

  put(piece) {
    this.begun ??= performance.now();
    this.count++;
    this.held += piece;
    this.frame ??= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (this.held) this.draw(this.held);
    this.held = "";
    say(this.words(this.count));
  }

  words(count) {
    if (this.begun === null) return "";
    const seconds = (performance.now() - this.begun) / 1000;
    const speed = count > 1 && seconds > 0.05 ? ` · ${((count - 1) / seconds).toFixed(0)} ${word("perSecond")}` : "";
    return `${count} ${word("tokens")}${speed}`;
  }
}

// Run `work(signal, meter)` as the one thing that is being written; Stop ends it.
async function run(draw, work) {
  const running = (state.running = new AbortController()), meter = new Meter(draw);
  tell("");
  say(word("waiting"));
  showButtons();
  let last = "";
  try {
    last = (await work(running.signal, meter)) ?? "";
  } catch (error) {
    if (error.name === "AbortError") last = word("stopped");
    else if (error.status !== 401) tell(error instanceof Refused ? error.message : word("gone"), true);
  }
  meter.flush();
  say([meter.words(meter.counted || meter.count), last].filter(Boolean).join(" · "));
  state.running = null;
  showButtons();
}

// ---- writing on ----

async function write() {
  if (state.running) return;
  snapshot(true);
  await run(append, writeOn);
  keep();
  showText();
}

// A long text is written in parts, each of at most half of what the model can see, so that it always sees the other half.
async function writeOn(signal, meter) {
  let left = state.knobs.length, part = 0;
  while (left > 0) {
    const most = state.context ? Math.min(left, Math.max(1, Math.floor(state.context / 2))) : left;
    const result = await writePart(most, part++, signal, meter);
    meter.counted += result.written;
    left -= result.written || most;
    if (result.finish !== "length") return result.finish === "stop" ? word("ended") : "";
  }
}

// Send the end of the text; where that is still too long for the model, a shorter end, and show what it is.
async function writePart(most, part, signal, meter) {
  const text = state.text, seed = state.knobs.seed;
  let start = state.context && state.charactersPerToken
    ? beginning(text, text.length - (state.context - most - 8) * state.charactersPerToken * 0.9) : 0;
  for (;;) {
    try {
      sees(start);
      const prompt = text.slice(start), body = { prompt, max_tokens: most, ...(seed === null ? {} : { seed: seed + part }) };
      const result = await stream("/v1/completions", body, signal, (piece) => meter.put(piece));
      if (result.read > 8) state.charactersPerToken = prompt.length / result.read;
      meter.flush();
      return result;
    } catch (error) {
      if (error.code !== "context_length_exceeded" || text.length - start < 8) throw error;
      start = beginning(text, start + (text.length - start) / 4);
    }
  }
}

// The first place at or after `place` at which a word begins (and no character is split).
function beginning(text, place) {
  if (place <= 0) return 0;
  const from = Math.min(Math.ceil(place), text.length - 1), space = text.slice(from, from + 40).search(/\s/);
  const start = space < 0 ? from : from + space;
  return /[\udc00-\udfff]/.test(text[start] ?? "") ? start + 1 : start;
}

function sees(start) {
  if (state.unseen === start) return;
  state.unseen = start;
  showText();
  tell(start ? word("seesOnly") : "");
}

function again() {
  if (state.mode === "chat") return answerAgain();
  const before = state.past.at(-1);
  if (!before?.wrote) return;
  state.past.pop();
  remarkText(before.text, before.marks);
  return write();
}

// ---- chat ----

function showTalk() {
  at("talk").replaceChildren(...state.talk.map(({ role, content }) => element("div", { class: "turn " + role }, content)));
  showButtons();
}

async function send() {
  const content = at("say").value.trim();
  if (state.running || !content) return;
  state.talk.push({ role: "user", content });
  at("say").value = "";
  await reply();
}

async function answerAgain() {
  if (state.talk.at(-1)?.role === "assistant") state.talk.pop();
  if (state.talk.length) await reply();
}

async function reply() {
  const turn = { role: "assistant", content: "" };
  showTalk();
  const shown = element("div", { class: "turn assistant writing" });
  at("talk").append(shown);
  scrollTo({ top: document.documentElement.scrollHeight });
  await run((piece) => {
    const follow = nearBottom();
    turn.content += piece;
    shown.textContent = turn.content.trimStart();
    if (follow) scrollTo({ top: document.documentElement.scrollHeight });
  }, (signal, meter) => replyOn(signal, meter));
  turn.content = turn.content.trim();
  if (turn.content) state.talk.push(turn);
  showTalk();
  at("say").focus();
}

// Send the whole talk; where that is too long for the model, leave out the oldest turns and say so.
async function replyOn(signal, meter) {
  const most = state.context ? Math.min(state.knobs.length, Math.floor(state.context / 2)) : state.knobs.length;
  for (let first = 0; ; first++) {
    try {
      const body = { messages: state.talk.slice(first), max_tokens: most };
      const result = await stream("/v1/chat/completions", body, signal, (piece) => meter.put(piece));
      meter.counted = result.written;
      return;
    } catch (error) {
      if (error.code !== "context_length_exceeded" || first >= state.talk.length - 1) throw error;
      tell(word("forgot"));
    }
  }
}

// ---- beginning ----

async function greet() {
  try {
    const [card] = (await (await asked("/v1/models")).json()).data;
    Object.assign(state, { model: card.id, context: card.max_model_len ?? null });
    at("model").textContent = card.id;
    at("model").title = card.id;
    document.title = `${card.id} · upwell`;
    tell("");
  } catch (error) {
    if (error.status !== 401) tell(error instanceof Refused ? error.message : word("gone"), true);
  }
}

function go() {
  if (state.running) state.running.abort();
  else if (state.mode === "chat") send();
  else write();
}

async function copy() {
  try {
    await navigator.clipboard.writeText(state.text);
  } catch {
    at("text").select(); // without the permission, one key press copies
    document.execCommand("copy");
  }
  say(word("copied"));
}

function useKey(event) {
  event.preventDefault(); // the page's policy lets no form go anywhere
  try {
    sessionStorage.setItem("upwell.key", at("key").value);
  } catch { /* asked again next time */ }
  at("key").value = "";
  at("key-dialog").close();
  greet();
}

function pressed(event) {
  if (event.isComposing) return; // Enter and Esc belong to the input method while it composes
  if (event.key === "Escape" && state.running) state.running.abort();
  else if (event.key === "Escape" && !at("panel").hidden) showPanel(false);
  else if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !state.running) go();
  else if (event.key === "Enter" && event.target === at("say") && !event.shiftKey) go();
  else return;
  event.preventDefault();
}

function listen() {
  at("text").addEventListener("input", typed);
  at("sheet").addEventListener("click", () => at("text").focus());
  for (const button of document.querySelectorAll("[data-mode-of]")) {
    button.addEventListener("click", () => switchMode(button.dataset.modeOf));
  }
  const clicks = { go, again, undo, copy, fresh, theme: switchTheme, "close-panel": () => showPanel(false) };
  for (const [id, action] of Object.entries(clicks)) at(id).addEventListener("click", action);
  at("settings").addEventListener("click", () => showPanel(at("panel").hidden));
  at("language").addEventListener("click", () => {
    state.language = state.language === "en" ? "zh" : "en";
    remember("language", state.language);
    speak();
  });
  at("reset").addEventListener("click", () => {
    state.knobs = usualKnobs();
    remember("knobs", state.knobs);
    showKnobs();
  });
  at("key-form").addEventListener("submit", useKey);
  document.addEventListener("keydown", pressed);
}

showTheme();
speak();
listen();
const draft = remembered("draft", { text: "", marks: "" });
if (draft.text.length === draft.marks.length) remarkText(draft.text, draft.marks);
else showText();
greet();

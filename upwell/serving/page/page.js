// The frame of the page: tabs, models, language, theme and the settings panel.
// Talks to the server that the page came from only. Knows a tab by the contract in tabs.js alone.

import { listen, showKeys } from "./keys.js";
import { Knobs } from "./knobs.js";
import { at, button, element, speak } from "./parts.js";
import { ask, Refused } from "./server.js";
import { remember, remembered } from "./store.js";
import { TABS } from "./tabs.js";
import { WORDS } from "./words.js";

const state = {
  language: remembered("language", navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en"),
  theme: remembered("theme", null),
  models: null, // the cards of /v1/models, when they are known
  model: null, // the id of the one that was picked
  tabs: [], // {id, needs, words, tab, panel, button}
  current: null,
};

const word = (name) => WORDS[state.language][name];
const knobs = new Knobs("knobs", "", word);

// ---- language and theme ----

function speakAll() {
  document.documentElement.lang = state.language === "zh" ? "zh-Hans" : "en";
  speak(document.body, word);
  at("language").textContent = word("otherLanguage");
  knobs.speak();
  showKeys(word);
  for (const { id, tab, frame, panel } of state.tabs) {
    speak(panel, frame.word);
    at("tab-" + id).textContent = frame.word("name");
    tab.spoken();
  }
}

function switchLanguage() {
  state.language = state.language === "en" ? "zh" : "en";
  remember("language", state.language);
  speakAll();
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

// ---- tabs ----

async function addTab(path) {
  const { default: kind } = await import(path);
  if (kind.style) await styled(kind.style);
  const frame = frameOf(kind), tab = kind.make(frame), { id } = kind;
  const panel = element("section", { class: "panel", id: "panel-" + id, role: "tabpanel", "aria-labelledby": "tab-" + id, hidden: "" }, tab.element);
  const chooser = element("button", { type: "button", id: "tab-" + id, role: "tab", "aria-controls": panel.id, "aria-selected": "false", tabindex: -1 });
  chooser.addEventListener("click", () => choose(id));
  return { ...kind, frame, tab, panel, button: chooser };
}

// A style sheet that is there before what it dresses is shown.
function styled(path) {
  const link = element("link", { rel: "stylesheet", href: path });
  return new Promise((done) => {
    link.addEventListener("load", done);
    link.addEventListener("error", done);
    document.head.append(link);
  });
}

function frameOf({ needs, words }) {
  const can = () => (state.models ?? []).filter((card) => !needs || (card.capabilities ?? [needs]).includes(needs));
  return {
    knobs, told, models: can,
    word: (name) => words[state.language][name] ?? word(name),
    model: () => can().find((card) => card.id === state.model) ?? can()[0] ?? null,
    changed: () => document.body.classList.toggle("busy", state.tabs.some(({ tab }) => tab.busy())),
  };
}

const usable = () => state.tabs.filter(({ needs, frame }) => !state.models || !needs || frame.models().length);

function choose(id) {
  const chosen = usable().find((one) => one.id === id) ?? usable()[0];
  if (!chosen || chosen === state.current) return;
  const before = state.current;
  state.current = chosen;
  for (const one of state.tabs) {
    one.panel.hidden = one !== chosen;
    one.button.setAttribute("aria-selected", String(one === chosen));
    one.button.tabIndex = one === chosen ? 0 : -1;
  }
  before?.tab.hidden();
  remember("tab", chosen.id);
  if (state.models) showPick();
  else showTools();
  chosen.tab.shown();
}

function step(by) {
  const all = usable(), place = all.indexOf(state.current);
  choose(all[(place + by + all.length) % all.length].id);
}

// Arrows move among the tabs, as in every list of tabs.
function tabKey(event) {
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  step(by);
  state.current.button.focus();
}

// The tab that the page's address is for: #source=... brings the one whose `link` is "source" to the front.
function follow() {
  const params = new URLSearchParams(location.hash.slice(1)), one = usable().find(({ link }) => link && params.has(link));
  if (!one) return;
  choose(one.id);
  one.tab.linked(params);
}

function showTools() {
  const own = Boolean(state.current?.tab.ownSettings), several = (state.current?.frame.models() ?? []).length > 1;
  at("settings").hidden = own;
  if (own) at("settings-panel").hidden = true;
  at("pick").hidden = own || !several;
  at("model").hidden = several;
  for (const one of state.tabs) one.button.hidden = !usable().includes(one);
}

// ---- models ----

async function greet() {
  try {
    state.models = (await (await ask("/v1/models", { waiting: (wait) => notice(wait ? word(wait.kind).replace("{left}", wait.left).replace("{tried}", wait.tried) : "") })).json()).data;
    state.model = remembered("model", null);
    notice("");
  } catch (error) {
    notice(told(error), true);
    return;
  }
  choose(state.current.id);
  showModels();
  follow();
}

function showModels() {
  if (!usable().length) notice(word("noWriter"));
  showPick();
  for (const { tab } of state.tabs) tab.arrived();
}

// Each tab has models of its own to pick among.
function showPick() {
  const cards = state.current.frame.models(), card = state.current.frame.model();
  at("pick").replaceChildren(...cards.map(({ id }) => element("option", { value: id }, id)));
  at("pick").value = card?.id ?? null;
  at("model").textContent = at("model").title = card?.id ?? state.models[0]?.id ?? "";
  document.title = `${at("model").textContent} · upwell`;
  showTools();
}

function pick() {
  state.model = at("pick").value;
  remember("model", state.model);
  showModels();
}

// A fault in words: ours by name, the server's by their code where we have a word for it, else in its own.
function told(error) {
  if (!(error instanceof Refused)) throw error;
  return error.word ? word(error.word) : word("codes")[error.code] ?? word("refused").replace("{why}", error.message);
}

function notice(text, again = false) {
  at("notice").replaceChildren(text);
  at("notice").hidden = text === "";
  if (again) at("notice").append(" ", speak(button(greet, { word: "tryAgain", kind: "link" }), word));
}

// ---- settings, help ----

function showPanel(open) {
  if (state.current?.tab.ownSettings) return;
  at("settings-panel").hidden = !open;
  at("settings").setAttribute("aria-expanded", String(open));
  at(open ? "close-panel" : "settings").focus();
}

function help() {
  at("help").showModal();
}

// Esc: end what is at work, else close what is open, else leave the field, so that single keys are free.
function escape() {
  const { tab } = state.current;
  if (tab.busy()) tab.stop();
  else if (!at("settings-panel").hidden) showPanel(false);
  else document.activeElement?.blur();
  return true;
}

function begin() {
  const clicks = { language: switchLanguage, theme: switchTheme, "show-help": help, "close-panel": () => showPanel(false),
    settings: () => showPanel(at("settings-panel").hidden) };
  for (const [id, action] of Object.entries(clicks)) at(id).addEventListener("click", action);
  at("pick").addEventListener("change", pick);
  addEventListener("hashchange", follow);
  at("tabs").addEventListener("keydown", tabKey);
  listen({
    keyGoNow: () => !state.current.tab.busy() && state.current.tab.go(), keyFresh: () => state.current.tab.fresh(),
    keyFocus: () => state.current.tab.focus(), keyNext: () => step(1), keyBefore: () => step(-1), keyHelp: help,
    keySettings: () => showPanel(at("settings-panel").hidden),
  }, escape);
}

showTheme();
at("knobs").append(knobs.element);
state.tabs = await Promise.all(TABS.map(addTab));
at("tabs").append(...state.tabs.map((one) => one.button));
at("panels").append(...state.tabs.map((one) => one.panel));
speakAll();
begin();
choose(remembered("tab", "write"));
await greet();

// The tab that translates: a draft while one types, with care when asked, documents as files, terms that are kept to.
// Knows the foot and the server's translation endpoints.

import { Foot } from "./foot.js";
import { button, composing, copy, element, Tab } from "./parts.js";
import { ask, events, Refused, send } from "./server.js";
import { remember, remembered } from "./store.js";
import { WORDS } from "./words-translate.js";

const PAUSE = 120; // milliseconds without a key before a draft is asked for
const REST = 700; // and before it is one of all that stands there, also of what may still change
const LOW = 0.35;

class TranslateTab extends Tab {
  constructor(frame) {
    super();
    Object.assign(this, { frame, known: [], state: null, drafting: null, timer: null, resting: null, again: null, detected: null, spokenOf: "" });
    this.source = element("select", { id: "translate-source", "data-label": "source" });
    this.target = element("select", { id: "translate-target", "data-label": "target" });
    for (const pick of [this.source, this.target]) pick.addEventListener("change", () => this.picked());
    this.swap = button(() => this.turn(), { id: "translate-swap", picture: "again", label: "swap", kind: "quiet icon" });
    this.field = element("textarea", { id: "translate-text", rows: 6, "data-label": "text", "data-hint": "textHint" });
    this.field.value = remembered("translate.text", "");
    this.field.addEventListener("input", (event) => this.typed(event));
    this.field.addEventListener("keydown", (event) => {
      if (composing(event) || event.key !== "Enter" || !(event.metaKey || event.ctrlKey)) return;
      event.preventDefault();
      if (!this.busy()) this.go();
    });
    this.result = element("div", { class: "translated", id: "translate-result", role: "status", "data-label": "result", tabindex: "0" });
    this.told = element("p", { class: "under", id: "translate-told" });
    this.ways = element("ul", { class: "other-ways", id: "translate-ways", hidden: "", "data-label": "others" });
    this.terms = element("textarea", { id: "translate-terms", rows: 3, spellcheck: "false", "data-label": "terms", "data-hint": "termsHint" });
    this.terms.value = remembered("translate.terms", "");
    this.terms.addEventListener("input", () => remember("translate.terms", this.terms.value));
    this.file = element("input", { type: "file", id: "translate-file", hidden: "", "data-label": "fileHint" });
    this.file.addEventListener("change", () => this.document());
    this.foot = new Foot(frame, { prefix: "translate-", go: () => this.go(), goWord: () => "translate", goKey: "Ctrl ↵",
      buttons: [button(() => this.file.click(), { id: "translate-pick-file", picture: "into", word: "file", label: "fileHint" }),
        button(() => this.copied(), { id: "translate-copy", picture: "copy", word: "copy", label: "copyResult" }), this.file] });
    this.element = element("div", { class: "translate" }, element("div", { class: "stage" },
      element("div", { class: "languages" }, this.source, this.swap, this.target),
      element("div", { class: "sides" }, this.field, this.result), this.told, this.ways,
      element("details", { class: "terms" }, element("summary", { "data-word": "terms" }), this.terms),
      element("p", { class: "limits", "data-word": "limits" })), this.foot.element);
  }

  // ---- languages ----

  async arrived() {
    try {
      this.known = await (await ask("/languages")).json();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    this.spoken();
  }

  spoken() {
    this.foot.show();
    const { word } = this.frame, name = (code) => word("languages")[code] ?? this.known.find((one) => one.code === code)?.name ?? code;
    const source = this.source.value || remembered("translate.source", "auto");
    this.source.replaceChildren(element("option", { value: "auto" }, word("auto")), ...this.known.map(({ code }) => element("option", { value: code }, name(code))));
    this.source.value = this.known.some(({ code }) => code === source) ? source : "auto";
    this.spokenOf = name;
    this.targets(this.target.value || remembered("translate.target", ""));
  }

  // The languages that the text can be translated into.
  targets(wanted) {
    const from = this.source.value === "auto" ? this.known : this.known.filter(({ code }) => code === this.source.value);
    const codes = [...new Set(from.flatMap(({ targets }) => targets))];
    this.target.replaceChildren(...codes.map((code) => element("option", { value: code }, this.spokenOf(code))));
    this.target.value = codes.includes(wanted) ? wanted : codes[0] ?? "";
  }

  picked() {
    this.targets(this.target.value);
    remember("translate.source", this.source.value);
    remember("translate.target", this.target.value);
    this.state = null;
    this.draft();
  }

  turn() {
    const source = this.source.value === "auto" ? this.detected : this.source.value, target = this.target.value;
    if (!this.known.some(({ code }) => code === target)) return;
    this.source.value = target;
    this.targets(source ?? "");
    const made = this.result.textContent;
    if (made) this.field.value = made;
    this.picked();
  }

  // ---- as one types ----

  typed(event) {
    remember("translate.text", this.field.value);
    if (event.isComposing) return;
    this.unhurried();
    this.timer = setTimeout(() => this.draft(false), PAUSE);
    this.resting = setTimeout(() => this.draft(), REST);
  }

  unhurried() {
    clearTimeout(this.timer);
    clearTimeout(this.resting);
  }

  // Only one draft is on its way; what was typed meanwhile is asked for when it is there. paused: nobody is typing.
  async draft(paused = true) {
    const text = this.field.value;
    if (this.busy()) return;
    if (!text.trim()) {
      this.drafting?.abort();
      this.state = null;
      return this.show("", false);
    }
    if (this.drafting) return void (this.again = { paused });
    const running = (this.drafting = new AbortController());
    try {
      const source = await this.language(text, running.signal);
      if (source === null) return;
      const body = { q: text, source, target: this.target.value || undefined, paused, ...(this.state ? { state: this.state } : {}) };
      for await (const event of events(await ask("/translate/typed", { body, signal: running.signal }))) {
        this.show(event.translatedText, true);
        this.state = event.state ?? this.state;
      }
    } catch (error) {
      if (error instanceof Refused) this.foot.tell(this.frame.told(error), true);
      else if (error.name !== "AbortError") throw error;
    } finally {
      this.drafting = null;
      const again = this.again;
      this.again = null;
      if (again) this.draft(again.paused);
    }
  }

  // The language of the text; null where it cannot be told yet.
  async language(text, signal) {
    if (this.source.value !== "auto") return this.source.value;
    const [guess] = await (await ask("/detect", { body: { q: text }, signal })).json();
    const known = this.known.find(({ code }) => code === guess.language);
    if (this.detected !== guess.language) this.state = null;
    this.detected = known ? guess.language : null;
    return this.detected;
  }

  show(text, draft) {
    this.result.textContent = text;
    this.result.classList.toggle("is-draft", draft);
    this.told.replaceChildren();
    this.ways.hidden = true;
    if (draft && text) this.told.append(element("span", {}, this.frame.word("draft")));
    this.foot.tell("");
  }

  // ---- with care ----

  async go() {
    const text = this.field.value;
    if (this.busy() || !text.trim()) return;
    this.unhurried();
    this.drafting?.abort();
    const { word } = this.frame;
    await this.foot.run(async (signal) => {
      const body = { q: text, source: this.source.value, target: this.target.value || undefined, alternatives: 3, glossary: this.glossary() };
      const made = await (await ask("/translate", { body, signal, waiting: this.foot.waiting })).json();
      this.show(made.translatedText, false);
      this.state = null;
      const parts = [`${word("sure")} ${made.confidence.toFixed(2)}`];
      if (made.detectedLanguage) parts.unshift(`${word("looks")} ${this.spokenOf(made.detectedLanguage.language)}`);
      this.told.append(...parts.map((part) => element("span", {}, part)));
      if (made.confidence < LOW) this.told.append(element("span", { class: "low" }, word("low")));
      this.ways.replaceChildren(...made.alternatives.filter((way) => way !== made.translatedText).map((way) => element("li", {}, way)));
      this.ways.hidden = !this.ways.children.length;
      return "";
    });
  }

  glossary() {
    const rows = this.terms.value.split("\n").map((line) => line.split("=").map((part) => part.trim())).filter(([term]) => term);
    return Object.fromEntries(rows.map(([term, meant]) => [term, meant || term]));
  }

  // ---- documents ----

  async document() {
    const [chosen] = this.file.files;
    this.file.value = "";
    if (!chosen || this.busy()) return;
    const { word } = this.frame;
    await this.foot.run(async (signal) => {
      const form = new FormData();
      form.append("file", chosen, chosen.name);
      form.append("source", this.source.value);
      if (this.target.value) form.append("target", this.target.value);
      form.append("glossary", JSON.stringify(this.glossary()));
      const made = await (await send("/translate_file", form, signal)).json();
      await this.save(made.path, chosen.name.replace(/(\.[^.]*)?$/, `.${this.target.value}$1`), signal);
      return `${word("ready")} ${made.segments} ${word("segments")}` + (made.low ? `, ${made.low} ${word("toRead")}` : "");
    }).then((said) => said && this.foot.say(said));
  }

  // The file is fetched with the key, which a plain link would not send.
  async save(path, name, signal) {
    const content = await (await ask(path, { signal })).blob(), address = URL.createObjectURL(content);
    const link = element("a", { href: address, download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  async copied() {
    if (!this.result.textContent) return;
    await copy(this.result.textContent);
    this.foot.say(this.frame.word("copied"));
  }

  fresh() {
    if (this.busy()) return;
    this.field.value = "";
    remember("translate.text", "");
    this.state = null;
    this.show("", false);
    this.focus();
  }
}

export default { id: "translate", needs: "translate", style: "/tab-translate.css", words: WORDS, make: (frame) => new TranslateTab(frame) };

// The owner's tab for the FAQ: a question is tried and shown with its scores; what was missed, what is missing, and the
// line for one's own site. Knows the foot and the server's /faq.

import { Foot } from "./foot.js";
import { button, composing, copy, element, Tab } from "./parts.js";
import { ask, Refused } from "./server.js";
import { WORDS } from "./words-faq.js";

const LONGEST = 1000; // characters of a question

class FaqTab extends Tab {
  constructor(frame) {
    super();
    Object.assign(this, { frame, about: null, found: null, misses: null, suggestions: null, ownSettings: true });
    this.head = element("p", { class: "faq-about", id: "faq-about" });
    this.result = element("div", { id: "faq-result", class: "faq-result", role: "status", hidden: "" });
    this.missing = element("div", { id: "faq-suggestions" });
    this.missed = element("div", { id: "faq-misses" });
    this.site = element("div", { id: "faq-site" });
    this.field = element("textarea", { id: "faq-question", rows: 1, maxlength: LONGEST, autocomplete: "off", "data-label": "question", "data-hint": "questionHint" });
    this.field.addEventListener("keydown", (event) => {
      if (composing(event) || event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      if (!this.busy()) this.go();
    });
    this.foot = new Foot(frame, { prefix: "faq-", field: this.field, go: () => this.go(), goWord: () => "try", goKey: "↵",
      buttons: [button(() => this.load(), { id: "faq-reload", picture: "again", word: "reload" })] });
    const lists = element("div", { class: "faq-lists" }, this.missing, this.missed, this.site);
    this.element = element("div", { class: "faq" }, element("div", { class: "stage" }, this.head, this.result, lists), this.foot.element);
  }

  shown() {
    super.shown();
    this.load();
  }

  spoken() {
    this.foot.show();
    this.showAbout();
    this.showResult();
    this.showSuggestions();
    this.showMisses();
  }

  fresh() {
    if (this.busy()) return;
    this.field.value = "";
    this.found = null;
    this.showResult();
    this.focus();
  }

  // ---- what the server knows ----

  async load() {
    if (!this.frame.models().length) return;
    try {
      const [about, misses, suggestions] = await Promise.all(["/faq", "/faq/misses", "/faq/suggestions"].map(async (path) => (await ask(path)).json()));
      Object.assign(this, { about, misses: misses.misses, suggestions: suggestions.suggestions });
      this.spoken();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.foot.tell(this.frame.told(error), true);
    }
  }

  async go() {
    const question = this.field.value.trim();
    if (this.busy() || !question) return;
    await this.foot.run(async (signal) => {
      this.found = await (await ask("/faq/try", { body: { question }, signal, waiting: this.foot.waiting })).json();
      this.found.question = question;
      this.showResult();
      return "";
    });
    scrollTo({ top: 0 });
    this.field.select();
  }

  focus() {
    this.field.focus({ preventScroll: true });
  }

  // ---- what is shown ----

  words(name, values) {
    return Object.entries(values).reduce((text, [key, value]) => text.replace(`{${key}}`, value), this.frame.word(name));
  }

  showAbout() {
    if (!this.about) return;
    const { entries, encoder, sure, margin, least, widget_origins: origins, webhook } = this.about, { word } = this.frame;
    const by = encoder ? this.words("byVectors", { name: encoder }) : word("byWords");
    const rule = this.words("rule", { sure, margin, least });
    this.head.replaceChildren(...[this.words("entries", { n: entries }), by, rule, word("tried")].map((text) => element("span", {}, text)));
    const line = `<script src="${location.origin}/widget.js" defer></script>`;
    const copied = button(async () => { await copy(line); this.foot.say(word("copied")); }, { picture: "copy", kind: "tool", "aria-label": word("copyLine"), title: word("copyLine") });
    const who = origins.length ? this.words("siteWho", { origins: origins.join(", ") }) : word("siteNobody");
    const hook = webhook ? this.words("hook", webhook) : word("hookNone");
    this.site.replaceChildren(element("h2", {}, word("site")), element("p", {}, word("siteHow")),
      element("p", { class: "faq-line" }, element("code", {}, line), copied), element("p", {}, who), element("p", {}, hook));
  }

  showResult() {
    this.result.hidden = !this.found;
    if (!this.found) return;
    const { kind, score, margin, answer, nearest, question } = this.found, { word } = this.frame;
    const rows = nearest.map((one) => element("li", {}, element("span", { class: "faq-bar" }, this.bar(one.score)), element("span", { class: "faq-score" }, one.score.toFixed(2)), element("span", {}, one.question)));
    this.result.replaceChildren(
      element("p", { class: "faq-asked" }, question),
      element("p", { class: `faq-kind is-${kind}` }, element("strong", {}, word("kinds")[kind]), element("span", {}, `${word("score")} ${score.toFixed(2)}`), element("span", {}, `${word("margin")} ${margin.toFixed(2)}`)),
      element("p", { class: "faq-why" }, word("why")[kind]),
      ...(answer ? [element("p", { class: "faq-answer" }, answer)] : []),
      ...(rows.length ? [element("h3", {}, word("nearest")), element("ol", { class: "faq-nearest" }, ...rows)] : []),
    );
  }

  // A bar as long as the score; a meter is what screen readers know.
  bar(score) {
    return element("meter", { min: 0, max: 1, value: score, "aria-label": this.frame.word("score") });
  }

  showSuggestions() {
    if (!this.suggestions) return;
    const { word } = this.frame;
    const rows = this.suggestions.map((one) => element("li", {},
      element("details", {}, element("summary", {}, element("span", { class: "faq-times" }, this.words("times", { n: one.count })), " ", element("span", {}, one.question)),
        element("p", { class: "faq-why" }, one.entry ? this.words("near", { question: one.entry.question, score: one.score.toFixed(2) }) : word("newEntry")),
        element("ul", {}, ...one.others.map((other) => element("li", {}, other))))));
    this.missing.replaceChildren(element("h2", {}, word("suggestions")), rows.length ? element("ul", { class: "faq-rows" }, ...rows) : element("p", {}, word("suggestionsNone")));
  }

  showMisses() {
    if (!this.misses || !this.about) return;
    const { word } = this.frame, locale = document.documentElement.lang;
    const rows = this.misses.map((one) => element("li", {}, element("span", {}, one.question),
      element("span", { class: "faq-why" }, [new Date(one.time * 1000).toLocaleString(locale, { dateStyle: "medium", timeStyle: "short" }), word("reasons")[one.reason] ?? one.reason, `${word("score")} ${one.score.toFixed(2)}`].join(" · "))));
    const none = word(this.about.misses === null ? "missesOff" : "missesNone");
    const more = this.about.misses > rows.length ? [element("p", {}, this.words("most", { n: rows.length, all: this.about.misses }))] : [];
    this.missed.replaceChildren(element("h2", {}, word("misses")), ...more, rows.length ? element("ul", { class: "faq-rows" }, ...rows) : element("p", {}, none));
  }
}

export default { id: "faq", needs: "faq", style: "/tab-faq.css", words: WORDS, make: (frame) => new FaqTab(frame) };

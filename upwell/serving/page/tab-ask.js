// The tab that answers from documents: questions, answers with what they cite, and the source beside them.
// Knows the foot, the view of a source, and the server's /v1/answers and /v1/documents.

import { AnswerView } from "./answer.js";
import { Foot } from "./foot.js";
import { button, composing, element, nearBottom, Tab, toBottom } from "./parts.js";
import { ask, events } from "./server.js";
import { address, isGone, name, named, Source } from "./source.js";
import { remember, remembered } from "./store.js";
import { WORDS } from "./words-ask.js";

const LONGEST = 10000; // characters of a question
const TURNS = 8; // questions before this one that go along with it
const SHOWN = 200; // documents of a list

class AskTab extends Tab {
  constructor(frame) {
    super();
    Object.assign(this, { frame, turns: [], ownSettings: true });
    this.index = element("select", { id: "ask-index", "data-label": "index", hidden: "" });
    this.index.addEventListener("change", () => this.picked());
    this.collection = element("select", { id: "ask-collection", "data-label": "collection", hidden: "" });
    this.collection.addEventListener("change", () => { remember("ask.collection", this.collection.value); this.listDocuments(); });
    this.count = element("summary");
    this.list = element("ul", { id: "ask-documents" });
    this.documents = element("details", { class: "ask-documents" }, this.count, this.list);
    this.documents.addEventListener("toggle", () => this.listDocuments());
    this.log = element("div", { id: "ask-log", role: "log", "data-label": "asked" });
    this.hint = element("p", { class: "hint", "data-word": "empty" });
    this.about = element("p", { class: "ask-about", id: "ask-about" });
    this.source = new Source(frame);
    this.makeFoot();
    const stage = element("div", { class: "stage" }, element("div", { class: "ask-head" }, this.index, this.collection, this.documents), this.log, this.hint, this.about);
    const side = element("div", { class: "ask-side" }, stage, this.foot.element);
    this.element = element("div", { class: "ask empty" }, side, this.source.element);
    this.element.addEventListener("click", (event) => this.clicked(event));
  }

  makeFoot() {
    this.field = element("textarea", { id: "ask-question", rows: 1, autocomplete: "off", maxlength: LONGEST, "data-label": "say", "data-hint": "sayHint" });
    this.field.addEventListener("keydown", (event) => {
      if (composing(event) || event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      if (!this.busy()) this.go();
    });
    const fresh = button(() => this.fresh(), { picture: "plus", word: "fresh", label: "freshAsk", id: "ask-fresh" });
    this.foot = new Foot(this.frame, { prefix: "ask-", field: this.field, go: () => this.go(), goWord: () => "ask", goKey: "↵", buttons: [fresh],
      changed: () => this.log.setAttribute("aria-busy", String(this.busy())) });
  }

  // ---- what is asked ----

  get card() {
    const cards = this.frame.models();
    return cards.find(({ id }) => id === this.index.value) ?? cards[0] ?? null;
  }

  arrived() {
    const cards = this.frame.models(), before = this.index.value || remembered("ask.index", "");
    this.index.replaceChildren(...cards.map(({ id }) => element("option", { value: id }, id)));
    this.index.hidden = cards.length < 2;
    this.index.value = cards.some(({ id }) => id === before) ? before : cards[0]?.id ?? "";
    this.spoken();
  }

  picked() {
    remember("ask.index", this.index.value);
    this.collection.value = "";
    this.spoken();
    this.fresh();
  }

  spoken() {
    this.foot.show();
    const { word } = this.frame, { card } = this;
    if (!card) return;
    const named = card.collections.filter((name) => name !== ""), before = this.collection.value || remembered("ask.collection", "");
    this.collection.replaceChildren(element("option", { value: "" }, word("every")), ...named.map((name) => element("option", { value: name }, name)));
    this.collection.value = named.includes(before) ? before : "";
    this.collection.hidden = card.collections.length < 2;
    this.count.textContent = word("documents").replace("{n}", card.documents);
    this.about.textContent = word(card.answers);
    for (const turn of this.turns) turn.view.show(turn);
  }

  async listDocuments() {
    if (!this.documents.open || !this.card) return;
    const { card } = this, which = this.collection.value ? `&collection=${encodeURIComponent(this.collection.value)}` : "";
    await this.told(async () => {
      const { data, has_more } = await (await ask(`/v1/documents?limit=${SHOWN}&index=${encodeURIComponent(card.id)}${which}`)).json();
      const rows = data.map((one) => element("li", {}, element("a", { href: address({ index: card.id, document: one.id }), dir: "auto" }, name(one))));
      if (has_more && !which) rows.push(element("li", {}, this.frame.word("more").replace("{n}", card.documents - data.length)));
      this.list.replaceChildren(...rows);
    });
  }

  // ---- asking ----

  async go() {
    const question = this.field.value.trim(), { card } = this;
    if (this.busy() || !question || !card) return;
    this.field.value = "";
    const history = this.turns.filter(({ answer }) => answer).slice(-TURNS).flatMap(({ question, answer }) => [{ role: "user", content: question }, { role: "assistant", content: answer.refused ? "" : answer.answer }]);
    const turn = { question, index: card.id, text: "", answer: null, view: new AnswerView(this.frame) };
    this.turns.push(turn);
    this.log.append(turn.view.show(turn));
    this.showEmpty();
    toBottom();
    const body = { question, history, model: card.id, stream: true, ...(this.collection.value ? { collection: this.collection.value } : {}) };
    await this.foot.run((signal) => this.answer(turn, body, signal));
    if (!turn.answer) this.dropped(turn);
    if (document.activeElement === document.body) this.field.focus();
  }

  async answer(turn, body, signal) {
    for await (const event of events(await ask("/v1/answers", { body, signal, waiting: this.foot.waiting }))) {
      const follow = nearBottom();
      if (event.id) turn.answer = event;
      else if (event.text) turn.text += event.text;
      else this.foot.say(this.frame.word("reading").replace("{n}", event.passages.length));
      turn.view.show(turn);
      if (follow) toBottom();
    }
    return "";
  }

  // A question without an answer goes back to where it was typed.
  dropped(turn) {
    this.turns.splice(this.turns.indexOf(turn), 1);
    turn.view.element.remove();
    this.field.value ||= turn.question;
    this.showEmpty();
  }

  showEmpty() {
    this.element.classList.toggle("empty", !this.turns.length);
    this.hint.hidden = this.turns.length > 0;
  }

  fresh() {
    if (this.busy()) return;
    this.turns = [];
    this.log.replaceChildren();
    this.foot.tell("");
    if (!this.source.element.hidden) this.source.close();
    this.showEmpty();
    this.listDocuments();
    this.focus();
  }

  // ---- sources ----

  clicked(event) {
    const link = event.target.closest("a[href^='#source=']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    this.linked(new URLSearchParams(link.getAttribute("href").slice(1)), link);
  }

  linked(params, from = null) {
    const where = named(params);
    if (where) this.told(() => this.source.open(where, from));
  }

  // Do `work`, and tell its fault in words.
  async told(work) {
    try {
      this.foot.tell("");
      await work();
    } catch (error) {
      if (error.name === "AbortError") return;
      this.foot.tell(isGone(error) ? this.frame.word("noSource") : this.frame.told(error), true);
    }
  }
}

export default { id: "ask", needs: "answers", link: "source", style: "/tab-ask.css", words: WORDS, make: (frame) => new AskTab(frame) };

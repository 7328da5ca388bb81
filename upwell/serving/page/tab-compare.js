// The tab that asks two models, or one with two settings, the same thing at once. Knows the foot, the settings and
// both endpoints that write.

import { Foot } from "./foot.js";
import { Knobs } from "./knobs.js";
import { renderer } from "./markdown.js";
import { composing, element, Meter, speed, Tab } from "./parts.js";
import { Refused, stream } from "./server.js";
import { remember, remembered } from "./store.js";
import { WORDS } from "./words-compare.js";

const SEEDS = 2 ** 31;

class CompareTab extends Tab {
  ownSettings = true;

  constructor(frame) {
    super();
    this.frame = frame;
    this.field = element("textarea", { id: "compare-prompt", rows: 2, autocomplete: "off", "data-label": "prompt", "data-hint": "promptHint" });
    this.field.value = remembered("compare.prompt", "");
    this.field.addEventListener("input", () => remember("compare.prompt", this.field.value));
    this.field.addEventListener("keydown", (event) => {
      if (composing(event) || event.key !== "Enter" || event.shiftKey || !this.chats()) return; // a text may have lines
      event.preventDefault();
      if (!this.busy()) this.go();
    });
    this.same = this.check("compare-seed", "sameSeed", "checkbox");
    this.same.field.checked = remembered("compare.seed", true);
    this.same.field.addEventListener("change", () => remember("compare.seed", this.same.field.checked));
    this.kinds = ["text", "message"].map((kind) => this.check(`compare-${kind}`, kind, "radio"));
    const kind = remembered("compare.kind", "text") === "text" ? 0 : 1;
    this.kinds[kind].field.checked = true;
    for (const { field } of this.kinds) field.addEventListener("change", () => remember("compare.kind", this.chats() ? "message" : "text"));
    this.sides = ["left", "right"].map((name) => new Side(frame, name));
    this.foot = new Foot(frame, { prefix: "compare-", field: this.field, go: () => this.go(), goWord: () => "writeBoth", goKey: "", changed: () => this.showBusy(),
      buttons: [element("span", { class: "kinds", role: "radiogroup", "data-label": "kind" }, ...this.kinds.map(({ label }) => label)), this.same.label] });
    this.element = element("div", { class: "compare empty" },
      element("div", { class: "stage" }, element("div", { class: "columns" }, ...this.sides.map((side) => side.element))), this.foot.element);
  }

  check(id, word, type) {
    const field = element("input", { type, id, ...(type === "radio" ? { name: "compare-kind" } : { role: "switch" }) });
    return { field, label: element("label", { class: type === "radio" ? "kind" : "switch", for: id }, field, element("span", { "data-word": word })) };
  }

  fresh() {
    if (this.busy()) return;
    this.field.value = "";
    for (const side of this.sides) side.clear();
    this.element.classList.add("empty");
    this.field.focus();
  }

  spoken() {
    this.foot.show();
    for (const side of this.sides) side.spoken();
  }

  arrived() {
    this.sides.forEach((side, place) => side.arrived(place));
  }

  showBusy() {
    this.element.classList.toggle("at-work", this.busy());
  }

  chats() {
    return this.kinds[1].field.checked;
  }

  async go() {
    if (this.busy() || (this.chats() && !this.field.value.trim())) return;
    this.element.classList.remove("empty");
    const set = this.sides.map((side) => side.knobs.values.seed).find((seed) => seed !== null);
    const seed = this.same.field.checked ? set ?? Math.floor(Math.random() * SEEDS) : null;
    const last = await this.foot.run(async (signal) => {
      await Promise.all(this.sides.map((side) => side.write(this.field.value, this.chats(), seed, signal, this.foot.waiting)));
      return seed === null ? "" : `${this.frame.word("seedWas")} ${seed}`;
    });
    if (last) this.foot.say(last);
  }
}

// One of the columns: its model, its settings and what it wrote.
class Side {
  constructor(frame, name) {
    Object.assign(this, { frame, name, knobs: new Knobs(`compare.${name}`, `${name}-`, frame.word) });
    this.pick = element("select", { id: `${name}-model`, "data-label": "model" });
    this.pick.addEventListener("change", () => remember(`compare.${name}.model`, this.pick.value));
    this.text = element("div", { class: "answer", id: `${name}-answer`, role: "log", "data-label": `${name}Answer` });
    this.count = element("p", { class: "count", id: `${name}-count` });
    this.settings = element("details", { class: "own-settings" }, element("summary", { "data-word": "settings" }), this.knobs.element);
    this.element = element("section", { class: "side", "data-label": `${name}Side` }, this.pick, this.settings, this.text, this.count);
  }

  spoken() {
    this.knobs.speak();
  }

  arrived(place) {
    const cards = this.frame.models(), kept = remembered(`compare.${this.name}.model`, null);
    this.pick.replaceChildren(...cards.map(({ id }) => element("option", { value: id }, id)));
    this.pick.value = (cards.find(({ id }) => id === kept) ?? cards[place] ?? cards[0])?.id ?? "";
  }

  clear() {
    this.text.replaceChildren();
    this.count.textContent = "";
  }

  // A fault of one side is told in its own column; the other goes on.
  async write(prompt, chats, seed, signal, waiting) {
    const { word } = this.frame, draw = this.drawer(prompt, chats);
    const meter = new Meter(draw, (...told) => { this.count.textContent = speed(word, ...told); });
    this.element.classList.add("at-work");
    try {
      const result = await this.request(prompt, chats, seed, signal, waiting, (piece) => piece && meter.put(piece));
      Object.assign(meter, { counted: result.written });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.text.append(element("p", { class: "wrong" }, this.frame.told(error)));
    } finally {
      this.element.classList.remove("at-work");
      meter.flush();
    }
  }

  request(prompt, chats, seed, signal, waiting, put) {
    const asked = this.knobs.asked(), context = this.frame.models().find(({ id }) => id === this.pick.value)?.max_model_len ?? Infinity;
    const most = Math.min(asked.max_tokens, Math.max(1, Math.floor(context / 2)));
    const body = { model: this.pick.value || undefined, ...asked, max_tokens: most, ...(seed === null ? {} : { seed }) };
    const said = chats ? { messages: [{ role: "user", content: prompt }] } : { prompt };
    return stream(chats ? "/v1/chat/completions" : "/v1/completions", { ...body, ...said }, { signal, waiting, put });
  }

  // An answer is Markdown; a text goes on as it is.
  drawer(prompt, chats) {
    this.clear();
    this.text.classList.toggle("plain-text", !chats);
    if (!chats) {
      this.text.append(element("span", { class: "you-wrote" }, prompt));
      return (piece) => this.text.append(element("span", { class: "model-wrote" }, piece));
    }
    const render = renderer(this.text);
    let all = "";
    return (piece) => render(all += piece);
  }
}

export default { id: "compare", needs: "write", style: "/tab-compare.css", words: WORDS, make: (frame) => new CompareTab(frame) };

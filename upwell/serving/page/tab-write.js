// The tab that goes on with a text: who wrote what is coloured, long texts are written in parts, and each token can
// be asked what else the model thought of. Knows the sheet, the foot and /v1/completions.

import { Aligner, Card, level } from "./chances.js";
import { Foot } from "./foot.js";
import { button, copy, element, Meter, nearBottom, speak, speed, toBottom, Tab } from "./parts.js";
import { stream } from "./server.js";
import { beginning, Sheet } from "./sheet.js";
import { remember, remembered } from "./store.js";
import { WORDS } from "./words-write.js";

const TOLD = 5; // likeliest tokens that are asked for at each place

class WriteTab extends Tab {
  constructor(frame) {
    super();
    Object.assign(this, { frame, sheet: new Sheet(), charactersPerToken: null, telling: remembered("chances", false) });
    this.mirror = element("div", { class: "mirror", id: "mirror", "aria-hidden": "true" });
    this.field = element("textarea", { id: "text", spellcheck: "false", autocomplete: "off", "data-label": "text", "data-hint": "placeholder" });
    this.card = new Card((token, name) => this.replace(token, name));
    this.box = element("div", { class: "sheet", id: "sheet" }, this.mirror, this.field, this.card.element);
    this.starters = element("div", { class: "starters", id: "starters" });
    this.makeFoot();
    this.element = element("div", { class: "write" }, element("div", { class: "stage" }, this.box, this.starters), this.foot.element);
    this.listen();
    const draft = remembered("draft", { text: "", marks: "" });
    if (draft.text.length === draft.marks.length) this.sheet.set(draft.text, draft.marks, draft.tokens ?? []);
  }

  makeFoot() {
    const mac = /Mac|iPhone|iPad/.test(navigator.platform);
    this.buttons = {
      again: button(() => this.again(), { id: "again", picture: "again", word: "again", label: "againHint" }),
      undo: button(() => this.undo(), { id: "undo", picture: "undo", word: "undo", label: "undoHint" }),
      copy: button(() => this.copy(), { id: "copy", picture: "copy", word: "copy", label: "copyHint" }),
      fresh: button(() => this.fresh(), { id: "fresh", picture: "plus", word: "fresh", label: "freshHint" }),
    };
    this.switch = element("input", { type: "checkbox", id: "chances", role: "switch" });
    this.switch.checked = this.telling;
    const label = element("label", { class: "switch", for: "chances", "data-tip": "chancesHint" }, this.switch, element("span", { "data-word": "chances" }));
    this.foot = new Foot(this.frame, {
      go: () => this.go(), goWord: () => (this.sheet.text ? "goOn" : "write"), goKey: mac ? "⌘↵" : "Ctrl ↵",
      buttons: [...Object.values(this.buttons), label], changed: () => this.showButtons(),
    });
  }

  listen() {
    this.field.addEventListener("input", () => {
      this.sheet.typed(this.field.value);
      this.kept();
    });
    this.box.addEventListener("click", (event) => { if (!this.card.element.contains(event.target)) this.field.focus(); });
    this.switch.addEventListener("change", () => this.tellChances(this.switch.checked));
    this.box.addEventListener("pointermove", (event) => this.pointed(event));
    this.box.addEventListener("pointerleave", () => { if (!this.box.contains(document.activeElement)) this.card.hide(); });
    document.addEventListener("selectionchange", () => { if (document.activeElement === this.field) this.cardAt(this.field.selectionStart); });
    this.box.addEventListener("focusout", (event) => { if (!this.box.contains(event.relatedTarget)) this.card.hide(); });
    this.card.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.field.focus();
      this.card.hide();
    });
  }

  // ---- what the frame calls ----

  shown() {
    this.show();
    this.field.focus();
  }

  hidden() {
    this.card.hide();
  }

  spoken() {
    this.starters.replaceChildren(...this.frame.word("starters").map((start) => {
      const chip = element("button", { type: "button" }, start + "…");
      chip.addEventListener("click", () => {
        this.sheet.set(start);
        this.go();
      });
      return chip;
    }));
    this.foot.show();
    this.show();
  }

  // ---- the text on the page ----

  // The textarea is what one types in; its letters are transparent, and the mirror behind it shows them coloured.
  show() {
    const { text } = this.sheet;
    // An empty last line has no height of its own.
    this.mirror.replaceChildren(...this.spans(0), text === "" || text.endsWith("\n") ? "\u200b" : "");
    if (this.field.value !== text) this.field.value = text;
    this.element.classList.toggle("empty", text === "");
    this.card.hide();
    this.showButtons();
  }

  spans(from) {
    return this.sheet.stretches(from, this.telling).map(({ start, text, kind, token }) => {
      const span = element("span", { class: token && kind === "model-wrote" ? `${kind} token level-${level(token.chance)}` : kind }, text);
      if (token) span.dataset.start = start;
      return span;
    });
  }

  append(piece) {
    const follow = nearBottom(), from = this.sheet.text.length;
    this.sheet.append(piece);
    const fresh = this.spans(from);
    for (const span of fresh) span.classList.add("fresh");
    this.mirror.append(...fresh);
    this.field.value = this.sheet.text;
    this.element.classList.remove("empty");
    if (follow) toBottom();
  }

  showButtons() {
    const busy = this.busy(), { past, text } = this.sheet, { again, undo, copy, fresh } = this.buttons;
    this.foot.show();
    this.element.classList.toggle("at-work", busy);
    this.field.readOnly = busy;
    again.disabled = busy || !past.at(-1)?.wrote;
    undo.disabled = busy || past.length === 0;
    copy.disabled = text === "";
    fresh.disabled = busy || text === "";
    this.switch.disabled = busy;
    this.starters.hidden = busy || text !== "";
  }

  kept() {
    const { text, marks, tokens } = this.sheet;
    remember("draft", { text, marks, tokens });
    this.show();
  }

  // ---- steps ----

  fresh() {
    if (this.busy()) return;
    if (this.sheet.text) this.sheet.snapshot(false);
    this.sheet.set("");
    this.afterStep();
    this.field.focus();
  }

  undo() {
    this.sheet.undo();
    this.afterStep();
  }

  afterStep() {
    this.kept();
    this.foot.say("");
    this.foot.tell("");
  }

  async copy() {
    await copy(this.sheet.text);
    this.foot.say(this.frame.word("copied"));
  }

  again() {
    if (!this.sheet.past.at(-1)?.wrote) return null;
    this.sheet.undo();
    this.show();
    return this.go();
  }

  // ---- writing on ----

  async go() {
    if (this.busy()) return;
    this.sheet.snapshot(true);
    this.show();
    const { word } = this.frame, meter = new Meter((piece) => this.append(piece), (...told) => this.foot.say(speed(word, ...told)));
    const last = await this.foot.run((signal) => this.writeOn(signal, meter));
    meter.flush();
    this.kept();
    this.foot.say([speed(word, meter.tokens, meter.perSecond), last].filter(Boolean).join(" · "));
  }

  // A long text is written in parts, each of at most half of what the model can see, so that it always sees the other half.
  async writeOn(signal, meter) {
    const context = this.frame.model()?.max_model_len;
    for (let left = this.frame.knobs.values.length, part = 0; left > 0; part++) {
      const most = context ? Math.min(left, Math.max(1, Math.floor(context / 2))) : left;
      const result = await this.writePart(most, part, context, signal, meter);
      meter.counted += result.written;
      left -= result.written || most;
      if (result.finish !== "length") return result.finish === "stop" ? this.frame.word("ended") : "";
    }
    return "";
  }

  // Send the end of the text; where that is still too long for the model, a shorter end, and show what it is.
  async writePart(most, part, context, signal, meter) {
    const { text } = this.sheet, guess = context && this.charactersPerToken;
    let start = guess ? beginning(text, text.length - (context - most - 8) * this.charactersPerToken * 0.9) : 0;
    for (;;) {
      try {
        this.sees(start);
        const prompt = text.slice(start), result = await this.request(prompt, most, part, signal, meter);
        if (result.read > 8) this.charactersPerToken = prompt.length / result.read;
        meter.flush();
        return result;
      } catch (error) {
        if (error.code === "unsupported_parameter" && error.param === "logprobs" && this.telling) this.untold();
        else if (error.code !== "context_length_exceeded" || text.length - start < 8) throw error;
        else start = beginning(text, start + (text.length - start) / 4);
      }
    }
  }

  request(prompt, most, part, signal, meter) {
    const asked = this.frame.knobs.asked(), aligner = this.telling ? new Aligner(this.sheet.text.length) : null;
    const body = {
      model: this.frame.model()?.id, ...asked, prompt, max_tokens: most,
      ...(asked.seed === undefined ? {} : { seed: asked.seed + part }), ...(aligner ? { logprobs: TOLD } : {}),
    };
    const put = (piece, choice) => {
      if (aligner) this.sheet.tokens.push(...aligner.push(piece, choice.logprobs));
      if (piece) meter.put(piece);
    };
    return stream("/v1/completions", body, { signal, waiting: this.foot.waiting, put });
  }

  sees(start) {
    if (this.sheet.unseen === start) return;
    this.sheet.unseen = start;
    this.show();
    this.foot.tell(start ? this.frame.word("seesOnly") : "");
  }

  // ---- what the model thought ----

  tellChances(on) {
    this.telling = this.switch.checked = on;
    remember("chances", on);
    this.show();
  }

  untold() {
    this.tellChances(false);
    this.foot.tell(this.frame.word("chancesUnknown"));
  }

  // The mirror lies under the textarea, so what the pointer is on is asked for by place.
  pointed(event) {
    if (!this.telling || this.busy() || this.card.element.contains(event.target)) return;
    const under = document.elementsFromPoint(event.clientX, event.clientY).find((node) => node.dataset?.start && this.mirror.contains(node));
    if (under) this.cardFor(this.sheet.tokenAt(Number(under.dataset.start)));
  }

  cardAt(place) {
    if (!this.telling || this.busy()) return;
    const token = this.sheet.tokenAt(place);
    if (token) this.cardFor(token);
    else this.card.hide();
  }

  cardFor(token) {
    const span = token && this.mirror.querySelector(`[data-start="${token.start}"]`);
    if (!span) return;
    const boxes = span.getClientRects();
    this.mirror.querySelector(".looked-at")?.classList.remove("looked-at");
    span.classList.add("looked-at");
    this.card.show(token, this.sheet.text.slice(token.start, token.end), boxes[boxes.length - 1], this.box.getBoundingClientRect());
    speak(this.card.element, this.frame.word);
  }

  replace(token, name) {
    if (this.busy()) return;
    this.sheet.replace(token, name);
    this.field.focus();
    this.go();
  }
}

export default { id: "write", needs: "write", style: "/tab-write.css", words: WORDS, make: (frame) => new WriteTab(frame) };

// The bar at the foot of a tab: its one big button that becomes Stop, further buttons, a status and a note.
// It runs one piece of work at a time. Knows nothing of what the work is.

import { button, element, icon, speak } from "./parts.js";
import { Refused } from "./server.js";

export class Foot {
  // go: what the big button begins; goWord(): its word; goKey: the key beside it; field: what is typed into the bar
  constructor(frame, { prefix = "", go, goWord, goKey, field = null, buttons = [], changed = () => {} }) {
    Object.assign(this, { frame, begin: go, goWord, goKey, changed, running: null });
    this.noteText = element("span");
    this.note = element("p", { class: "note", id: prefix + "note", role: "alert", hidden: "" }, this.noteText);
    this.word = element("span");
    this.hint = element("kbd");
    this.go = button(() => this.press(), { kind: "primary", id: prefix + "go" });
    this.go.append(icon("quill"), icon("halt"), this.word, this.hint);
    this.status = element("p", { class: "status", id: prefix + "status", role: "status" });
    const bar = element("div", { class: field ? "bar with-field" : "bar" }, ...(field ? [field] : []), this.go, ...buttons, this.status);
    this.element = element("div", { class: "foot" }, this.note, bar);
  }

  press() {
    if (this.running) this.stop();
    else this.begin();
  }

  stop() {
    this.running?.abort();
  }

  show() {
    const busy = this.running !== null;
    this.element.classList.toggle("at-work", busy);
    this.word.textContent = this.frame.word(busy ? "stop" : this.goWord());
    this.hint.textContent = busy ? "Esc" : this.goKey;
  }

  say(text) {
    this.status.textContent = text;
  }

  // A note above the bar; `action` is {word, press}, a button in it.
  tell(text, wrong = false, action = null) {
    this.noteText.textContent = text;
    this.note.replaceChildren(this.noteText);
    if (action) this.note.append(speak(button(() => { this.tell(""); action.press(); }, { word: action.word, kind: "link" }), this.frame.word));
    this.note.hidden = text === "";
    this.note.classList.toggle("wrong", wrong);
  }

  // The note of a server that lets us wait (see server.js); bound, since requests carry it along.
  waiting = (wait) => {
    if (!wait) return this.tell("");
    const { kind, left, tried } = wait;
    this.tell(this.frame.word(kind).replace("{left}", left).replace("{tried}", tried));
  };

  // Do `work(signal)`; gives its result, or the word for having been stopped, or null after a fault that was told.
  async run(work) {
    const running = (this.running = new AbortController());
    this.tell("");
    this.say(this.frame.word("waiting"));
    this.turned();
    try {
      return (await work(running.signal)) ?? "";
    } catch (error) {
      if (error.name === "AbortError") return this.frame.word("stopped");
      if (!(error instanceof Refused)) throw error;
      this.tell(this.frame.told(error), true);
      return null;
    } finally {
      this.running = null;
      this.say("");
      this.turned();
    }
  }

  turned() {
    this.show();
    this.changed();
    this.frame.changed();
  }
}

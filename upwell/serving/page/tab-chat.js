// The tab for conversations: sends messages, shows answers as they come, keeps branches. Knows the tree of a talk, its
// view, the list, the foot and /v1/chat/completions.

import { Conversations } from "./conversations.js";
import { Foot } from "./foot.js";
import { button, composing, copy, element, Meter, nearBottom, speed, toBottom, Tab } from "./parts.js";
import { stream } from "./server.js";
import { remember, remembered, Shelf } from "./store.js";
import { add, branches, choose, imported, newTalk, path, remove, upTo } from "./talk.js";
import { TurnView } from "./turns.js";
import { WORDS } from "./words-chat.js";

const KEPT_EVERY = 1000; // milliseconds, while an answer is being written
const WIDE = "(min-width: 64rem)";

class ChatTab extends Tab {
  constructor(frame) {
    super();
    Object.assign(this, { frame, shelf: new Shelf("conversations"), talk: newTalk(), views: new Map(), writing: null });
    this.list = new Conversations(frame, {
      open: (talk) => this.open(talk), fresh: () => this.fresh(), remove: (talk) => this.removeTalk(talk),
      rename: (talk, title) => this.kept(Object.assign(talk, { title })), import: (text) => this.import(text), close: () => this.closeList(),
    });
    this.act = {
      copy: async (turn) => { await copy(turn.content); this.act.copied(); }, copied: () => this.foot.say(frame.word("copied")),
      edit: (turn, content) => this.say(turn.parent, content), again: (turn) => this.reply(turn.parent), reply: (turn) => this.reply(turn.id),
      onward: (turn) => this.answer(turn, true), remove: (turn) => this.removeTurn(turn), choose: (turn) => this.chooseTurn(turn),
    };
    this.makeStage();
    this.makeFoot();
    const middle = element("div", { class: "talk-side" }, this.stage, this.foot.element);
    // Where the list lies over the talk, a look back at the talk closes it.
    middle.addEventListener("pointerdown", (event) => { if (!matchMedia(WIDE).matches && !this.toggle.contains(event.target)) this.showList(false); });
    this.list.element.addEventListener("keydown", (event) => { if (event.key === "Escape" && !event.defaultPrevented && !matchMedia(WIDE).matches) this.closeList(event); });
    this.element = element("div", { class: "chat empty" }, this.list.element, middle);
    this.showList(matchMedia(WIDE).matches && remembered("list", true));
    this.ready = this.shelf.open().then(() => {
      const last = this.shelf.all().find(({ id }) => id === remembered("talk", null));
      this.open(last ?? this.talk, false);
    });
  }

  makeStage() {
    this.toggle = button(() => this.showList(this.list.element.hidden, true), { picture: "list", label: "talks", kind: "quiet icon", id: "chat-list", "aria-controls": "talk-list" });
    this.title = element("h2", { class: "talk-title" });
    this.system = element("textarea", { id: "system", rows: 2, "data-label": "system", "data-hint": "systemHint" });
    this.system.addEventListener("input", () => this.kept(Object.assign(this.talk, { system: this.system.value })));
    this.systemBox = element("details", { class: "system" }, element("summary", { "data-word": "system" }), this.system);
    this.log = element("div", { id: "talk", role: "log", "data-label": "talk" });
    this.hint = element("p", { class: "hint", id: "chat-empty", "data-word": "chatEmpty" });
    this.stage = element("div", { class: "stage" }, element("div", { class: "talk-head" }, this.toggle, this.title), this.systemBox, this.log, this.hint);
  }

  makeFoot() {
    this.field = element("textarea", { id: "say", rows: 1, autocomplete: "off", "data-label": "say", "data-hint": "sayHint" });
    this.field.addEventListener("keydown", (event) => {
      if (composing(event) || event.key !== "Enter" || event.shiftKey) return;
      event.preventDefault();
      if (!this.busy()) this.go();
    });
    const fresh = button(() => this.fresh(), { picture: "plus", word: "fresh", label: "freshTalk", id: "chat-fresh" });
    this.foot = new Foot(this.frame, { prefix: "chat-", field: this.field, go: () => this.go(), goWord: () => "send", goKey: "↵", buttons: [fresh], changed: () => this.showBusy() });
  }

  // ---- what the frame calls ----

  spoken() {
    this.foot.show();
    this.show();
  }

  // ---- on the page ----

  open(talk, focus = true) {
    this.talk = talk;
    remember("talk", talk.id);
    this.system.value = talk.system;
    this.systemBox.open = talk.system !== "";
    if (!matchMedia(WIDE).matches) this.showList(false);
    if (this.foot) this.foot.tell("");
    this.show();
    toBottom();
    if (focus) this.field.focus();
  }

  show() {
    const { word } = this.frame, turns = path(this.talk), writing = this.writing?.talk === this.talk ? this.writing.turn : null;
    this.views = new Map(turns.map((turn) => [turn, new TurnView(this.talk, turn, word, this.act)]));
    this.log.replaceChildren(...[...this.views.values()].map((view) => view.element));
    if (writing && this.views.has(writing)) this.views.get(writing).show(true);
    this.showLeftOut(turns);
    this.hint.hidden = turns.length > 0;
    this.element.classList.toggle("empty", turns.length === 0);
    this.showNames();
    this.showBusy();
  }

  showNames() {
    this.list.show(this.shelf.all(), this.talk);
    this.title.textContent = this.list.talks.includes(this.talk) ? this.list.element.querySelector("[aria-current]")?.textContent ?? "" : "";
  }

  // A line before the first turn that the model still saw.
  showLeftOut(turns) {
    const last = turns.findLast((turn) => turn.leftOut !== undefined), count = last?.leftOut ?? 0;
    turns.slice(0, count).forEach((turn) => this.views.get(turn).element.classList.add("unseen"));
    if (count) this.views.get(turns[count])?.element.before(element("p", { class: "left-out" }, this.frame.word("leftOut").replace("{n}", count)));
  }

  showBusy() {
    const busy = this.busy();
    this.log.setAttribute("aria-busy", String(busy));
    for (const tool of this.log.querySelectorAll(".edit, .again, .reply, .onward, .remove, .left, .right")) tool.classList.toggle("resting", busy);
  }

  showList(open, remembering = false) {
    this.list.element.hidden = !open;
    this.toggle.setAttribute("aria-expanded", String(open));
    if (remembering && matchMedia(WIDE).matches) remember("list", open);
  }

  closeList(event) {
    event?.preventDefault();
    this.showList(false);
    this.toggle.focus();
  }

  // ---- conversations ----

  kept(talk = this.talk) {
    this.shelf.put(talk);
    this.showNames();
  }

  fresh() {
    const empty = !this.talk.turns.length && !this.talk.system && !this.talk.title;
    this.open(empty ? this.talk : newTalk());
  }

  removeTalk(talk) {
    if (this.writing?.talk === talk) this.stop();
    this.shelf.remove(talk.id);
    if (talk === this.talk) this.open(newTalk());
    this.showNames();
    this.offerUndo("talkRemoved", () => {
      this.shelf.put(talk);
      this.open(talk);
    });
  }

  import(text) {
    try {
      const talks = imported(text);
      for (const talk of talks) this.shelf.put(talk);
      if (talks.length) this.open(talks[0]);
      this.foot.tell(this.frame.word("imported").replace("{n}", talks.length));
    } catch {
      this.foot.tell(this.frame.word("importBad"), true);
    }
  }

  offerUndo(name, press) {
    this.foot.tell(this.frame.word(name), false, { word: "undo", press });
  }

  // ---- turns ----

  chooseTurn(turn) {
    if (this.busy()) return;
    choose(this.talk, turn);
    this.kept();
    this.show();
    this.views.get(turn).element.querySelector(".branches button:enabled")?.focus();
  }

  removeTurn(turn) {
    if (this.busy()) return;
    const { talk } = this, { turns, chosen } = structuredClone({ turns: talk.turns, chosen: talk.chosen });
    remove(talk, turn);
    this.kept();
    this.show();
    this.offerUndo("turnRemoved", () => {
      Object.assign(talk, { turns, chosen });
      this.kept(talk);
      this.open(talk);
    });
  }

  go() {
    const content = this.field.value.trim();
    if (this.busy() || !content) return;
    this.field.value = "";
    this.say(path(this.talk).at(-1)?.id ?? 0, content);
  }

  say(parent, content) {
    if (this.busy()) return;
    this.reply(add(this.talk, parent, "user", content).id);
  }

  reply(parent) {
    if (!this.busy()) this.answer(add(this.talk, parent, "assistant", ""));
  }

  // Have the model write a turn, or go on with it.
  async answer(turn, goesOn = false) {
    if (this.busy()) return;
    const { talk } = this, { word } = this.frame, begun = goesOn ? turn.written ?? 0 : 0;
    this.writing = { talk, turn, kept: performance.now() };
    this.kept();
    this.show();
    toBottom();
    const meter = new Meter((piece) => this.write(piece), (...told) => this.foot.say(speed(word, ...told)));
    const result = await this.foot.run((signal) => this.request(talk, turn, goesOn, signal, meter));
    meter.flush();
    this.writing = null;
    Object.assign(turn, { written: begun + meter.tokens, perSecond: result?.perSecond ?? meter.perSecond ?? 0, finish: result?.finish ?? "stopped", model: this.frame.model()?.id ?? "" });
    if (result?.read) turn.read = result.read;
    if (!turn.content.trim()) remove(talk, turn);
    if (this.shelf.has(talk.id)) this.kept(talk); // else it was deleted meanwhile
    const follow = nearBottom();
    this.show();
    if (follow) toBottom();
    this.foot.say(""); // the counts now stand under the answer
    if (document.activeElement === document.body) this.field.focus();
  }

  write(piece) {
    const { talk, turn } = this.writing, follow = nearBottom();
    turn.content = (turn.content + piece).trimStart();
    this.views.get(turn)?.show(true);
    if (follow) toBottom();
    if (performance.now() - this.writing.kept < KEPT_EVERY) return;
    this.writing.kept = performance.now();
    if (this.shelf.has(talk.id)) this.shelf.put(talk);
  }

  // Send the whole talk; where that is too long for the model, leave out the oldest turns and say so.
  async request(talk, turn, goesOn, signal, meter) {
    const before = upTo(talk, turn), turns = goesOn ? before : before.slice(0, -1);
    const asked = this.frame.knobs.asked(), card = this.frame.model(), context = card?.max_model_len;
    const most = context ? Math.min(asked.max_tokens, Math.max(1, Math.floor(context / 2))) : asked.max_tokens;
    const system = talk.system.trim() ? [{ role: "system", content: talk.system.trim() }] : [];
    const earlier = before.findLast((one) => one.leftOut !== undefined)?.leftOut ?? 0;
    for (let first = Math.min(earlier, turns.length - 1); ; ) {
      const messages = [...system, ...turns.slice(first).map(({ role, content }) => ({ role, content }))];
      const body = { model: card?.id, ...asked, max_tokens: most, messages, ...(goesOn ? { continue_final_message: true, add_generation_prompt: false } : {}) };
      try {
        const result = await stream("/v1/chat/completions", body, { signal, waiting: this.foot.waiting, put: (piece) => piece && meter.put(piece) });
        meter.counted = result.written;
        return result;
      } catch (error) {
        const next = turns.findIndex(({ role }, place) => place > first && role === "user");
        if (error.code !== "context_length_exceeded" || next < 0) throw error;
        first = turn.leftOut = next;
        this.foot.tell(this.frame.word("forgot"));
      }
    }
  }
}

export default { id: "chat", needs: "write", style: "/tab-chat.css", words: WORDS, make: (frame) => new ChatTab(frame) };

// The turns of a conversation as nodes, each with what can be done to it. Knows how a turn looks; what its buttons do
// is given as `act`: {copy, edit, again, reply, onward, remove, choose}, each called with the turn, and copied().

import { renderer } from "./markdown.js";
import { button, composing, copy, element, speak, speed } from "./parts.js";
import { branches } from "./talk.js";

export class TurnView {
  constructor(talk, turn, word, act) {
    Object.assign(this, { talk, turn, word, act });
    this.body = element("div", { class: "said" });
    this.count = element("span", { class: "count" });
    this.tools = element("div", { class: "turn-tools" });
    this.element = element("article", { class: `turn ${turn.role}`, "data-label": turn.role === "user" ? "you" : "model" }, this.body, this.tools);
    this.render = turn.role === "assistant" ? renderer(this.body, (text) => this.copyCode(text)) : (text) => this.body.replaceChildren(text);
    this.show();
  }

  // The words and the tools; while it is being written, the words alone.
  show(writing = false) {
    const { turn, word } = this;
    this.render(turn.content);
    this.element.classList.toggle("writing", writing);
    this.count.textContent = [speed(word, turn.written, turn.perSecond), turn.read ? word("read").replace("{n}", turn.read) : "",
      turn.finish === "stopped" ? word("stopped") : ""].filter(Boolean).join(" · ");
    this.tools.replaceChildren(...(writing ? [] : this.toolList()));
    speak(this.element, word);
  }

  toolList() {
    const { turn, talk, act } = this, beside = branches(talk, turn), tool = (name, picture, label) =>
      button(() => act[name](turn), { picture, label, kind: `tool ${name}` });
    const unanswered = !talk.turns.some((one) => one.parent === turn.id); // after a fault
    const own = turn.role === "user" ? [button(() => this.edit(), { picture: "pencil", label: "edit", kind: "tool edit" }), ...(unanswered ? [tool("reply", "again", "reply")] : [])]
      : [tool("again", "again", "answerAgain"), ...(["length", "stopped"].includes(turn.finish) ? [this.onward()] : [])];
    return [...(beside.length > 1 ? [this.arrows(beside)] : []), tool("copy", "copy", "copyTurn"), ...own, tool("remove", "bin", "removeTurn"),
      ...(turn.role === "assistant" ? [this.count] : [])];
  }

  onward() {
    return button(() => this.act.onward(this.turn), { picture: "onward", word: "onward", label: "onwardHint", kind: "tool onward" });
  }

  // ‹ 2/3 ›
  arrows(beside) {
    const place = beside.indexOf(this.turn), to = (by, picture, label) => {
      const arrow = button(() => this.act.choose(beside[place + by]), { picture, label, kind: `tool ${picture}` });
      arrow.disabled = !beside[place + by];
      return arrow;
    };
    return element("span", { class: "branches" }, to(-1, "left", "branchBefore"),
      element("span", { class: "branch" }, `${place + 1}/${beside.length}`), to(1, "right", "branchNext"));
  }

  copyCode(text) {
    const made = button(async () => {
      await copy(text());
      this.act.copied();
    }, { picture: "copy", word: "copy", kind: "code-copy" });
    return speak(made, this.word);
  }

  // The message in a field of its own; sending it makes a branch.
  edit() {
    const field = element("textarea", { class: "edit-field", rows: 1, "data-label": "edit" });
    field.value = this.turn.content;
    const save = () => { if (field.value.trim()) this.act.edit(this.turn, field.value.trim()); };
    const cancel = () => {
      this.element.classList.remove("editing");
      this.show();
      this.tools.querySelector(".edit").focus();
    };
    field.addEventListener("keydown", (event) => {
      if (composing(event) || !["Enter", "Escape"].includes(event.key) || event.shiftKey) return;
      event.preventDefault();
      (event.key === "Enter" ? save : cancel)();
    });
    this.element.classList.add("editing");
    this.body.replaceChildren(field);
    this.tools.replaceChildren(button(save, { word: "saveEdit", kind: "chip save" }), button(cancel, { word: "cancel", kind: "chip cancel" }));
    speak(this.element, this.word);
    field.focus();
  }
}

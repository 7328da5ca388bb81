// The list of conversations: search, rename, delete, export and import. Knows how they are listed; what is done to
// them is given as `act`: {open(talk), fresh(), rename(talk, title), remove(talk), import(text), close()}.

import { button, composing, element, speak } from "./parts.js";
import { exported, holds, titleOf } from "./talk.js";

export class Conversations {
  constructor(frame, act) {
    Object.assign(this, { frame, act, talks: [], current: null });
    this.search = element("input", { type: "search", class: "search", id: "chat-search", autocomplete: "off", "data-label": "search", "data-hint": "search" });
    this.search.addEventListener("input", () => this.fill());
    this.list = element("ul", { class: "talks" });
    this.file = element("input", { type: "file", id: "chat-file", accept: ".json,application/json", hidden: "", "data-label": "importTalks" });
    this.file.addEventListener("change", () => this.read());
    this.all = button(() => download(exported(this.talks), "conversations"), { picture: "out", word: "exportAll", kind: "plain small", id: "chat-export" });
    this.element = element("nav", { class: "talk-list", id: "talk-list", "data-label": "talks" },
      element("div", { class: "list-head" }, button(() => act.fresh(), { picture: "plus", word: "freshTalk", kind: "plain fresh-talk", id: "chat-new" }),
        button(() => act.close(), { picture: "close", label: "close", kind: "quiet icon close-list" })), this.search, this.list,
      element("div", { class: "files" }, button(() => this.file.click(), { picture: "into", word: "importTalks", kind: "plain small", id: "chat-import" }), this.all, this.file));
  }

  show(talks, current) {
    Object.assign(this, { talks, current });
    this.fill();
  }

  fill() {
    const { word } = this.frame, found = this.talks.filter((talk) => holds(talk, this.search.value));
    const none = element("li", { class: "none" }, word(this.talks.length ? "foundNone" : "noTalks"));
    this.list.replaceChildren(...(found.length ? found.map((talk) => this.row(talk)) : [none]));
    this.all.disabled = !this.talks.length;
    this.search.hidden = !this.talks.length;
    speak(this.list, word);
  }

  row(talk) {
    const title = titleOf(talk) || this.frame.word("untitled"), row = element("li", {});
    const open = element("button", { type: "button", class: "talk-open", title }, title);
    if (talk === this.current) open.setAttribute("aria-current", "true");
    open.addEventListener("click", () => this.act.open(talk));
    const tool = (press, picture, label) => button(press, { picture, label, kind: `tool ${label}` });
    row.append(open, element("span", { class: "talk-tools" }, tool(() => this.rename(talk, row), "pencil", "rename"),
      tool(() => download(exported([talk]), titleOf(talk)), "out", "exportOne"), tool(() => this.act.remove(talk), "bin", "removeTalk")));
    return row;
  }

  rename(talk, row) {
    const field = element("input", { class: "rename-field", "data-label": "rename", maxlength: 200 });
    field.value = titleOf(talk);
    let done = false;
    const end = (keep) => {
      if (done) return; // leaving the field comes after Enter too
      done = true;
      if (keep && field.value.trim()) this.act.rename(talk, field.value.trim());
      this.fill();
      this.list.querySelector("[aria-current]")?.focus();
    };
    field.addEventListener("keydown", (event) => {
      if (composing(event) || !["Enter", "Escape"].includes(event.key)) return;
      event.preventDefault();
      end(event.key === "Enter");
    });
    field.addEventListener("blur", () => end(true));
    row.replaceChildren(field);
    speak(row, this.frame.word);
    field.select();
  }

  async read() {
    const [file] = this.file.files;
    if (file) this.act.import(await file.text());
    this.file.value = "";
  }
}

function download(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const plain = name.replaceAll(/[^\p{L}\p{N}]+/gu, "-").replaceAll(/^-|-$/g, "").slice(0, 40);
  element("a", { href: address, download: `upwell-${plain || "conversation"}.json` }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

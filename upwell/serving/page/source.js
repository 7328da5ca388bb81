// A document as it is stored, with one span of it marked and in sight; and the places of spans.
// What it shows is text nodes alone. Knows the server's /v1/documents; knows nothing of questions.

import { button, element } from "./parts.js";
import { ask, Refused } from "./server.js";

const WIDE = "(min-width: 64rem)"; // there it stands beside the answers, else below them

// The address of a span in this page; `linked` of the tab reads it again.
export function address({ index, document: number, start, end }) {
  const span = start === undefined ? "" : `&start=${start}&end=${end}`;
  return `#source=${number}&index=${encodeURIComponent(index)}${span}`;
}

// Of an address what it names, or null.
export function named(params) {
  const number = (name) => (/^\d{1,15}$/.test(params.get(name) ?? "") ? Number(params.get(name)) : undefined);
  const document = number("source"), start = number("start"), end = number("end");
  const whole = start === undefined || end === undefined || end <= start;
  return document === undefined ? null : { document, index: params.get("index") ?? undefined, ...(whole ? {} : { start, end }) };
}

// What a document is called: its title, else the last part of where it lies.
export const name = (one) => one.title || one.source.split(/[/\\]/).filter(Boolean).at(-1) || one.source;

// A text cut at places. The server counts characters where a browser counts UTF-16 units, of which some have two.
export function cut(text, ...places) {
  const pieces = [];
  let unit = 0, count = 0;
  for (const place of places) {
    const begin = unit;
    for (; count < place && unit < text.length; count++) unit += text.codePointAt(unit) > 0xffff ? 2 : 1;
    pieces.push(text.slice(begin, unit));
  }
  return [...pieces, text.slice(unit)];
}

export class Source {
  constructor(frame) {
    Object.assign(this, { frame, running: null, from: null });
    this.title = element("h2", { class: "source-title", dir: "auto" });
    this.place = element("p", { class: "source-place" });
    this.text = element("div", { class: "source-text", id: "ask-source-text", role: "group", tabindex: "0", dir: "auto", "data-label": "sourceText" });
    const head = element("div", { class: "source-head" }, this.title, button(() => this.close(), { picture: "close", label: "closeSource", kind: "quiet icon", id: "ask-source-close" }));
    this.element = element("section", { class: "source", id: "ask-source", "data-label": "source", hidden: "" }, head, this.place, this.text);
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      this.close();
    });
  }

  // Show a document, at a span where one is named. `from` is what had the focus, and gets it back.
  async open(where, from = null) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    const index = where.index === undefined ? "" : `?index=${encodeURIComponent(where.index)}`;
    const found = await (await ask(`/v1/documents/${where.document}${index}`, { signal: running.signal })).json();
    if (running !== this.running) return;
    this.from = from;
    this.show(found, where);
  }

  show(found, where) {
    const { word } = this.frame, [before, span, after] = cut(found.text, where.start ?? 0, where.end ?? 0);
    this.title.textContent = name(found);
    const told = span ? [word("place").replace("{start}", where.start).replace("{end}", where.end)] : [];
    if (name(found) !== found.source) told.unshift(found.source);
    this.place.replaceChildren(...told.map((one) => element("span", { dir: "auto" }, one)));
    const mark = element("mark", { id: "ask-mark" }, span);
    this.text.replaceChildren(before, ...(span ? [mark] : []), after);
    this.element.hidden = false;
    this.text.focus({ preventScroll: true });
    if (!matchMedia(WIDE).matches) this.element.scrollIntoView({ block: "end" });
    if (span) this.bring(mark);
    else this.text.scrollTop = 0;
  }

  // The span a third below the upper border, in the text's own frame: the page stays where it is.
  bring(mark) {
    const shift = mark.getBoundingClientRect().top - this.text.getBoundingClientRect().top;
    this.text.scrollTop += shift - this.text.clientHeight / 3;
  }

  close() {
    this.running?.abort();
    this.running = null;
    this.element.hidden = true;
    history.replaceState(null, "", location.pathname + location.search);
    if (this.from?.isConnected) this.from.focus();
  }
}

export const isGone = (error) => error instanceof Refused && error.status === 404;

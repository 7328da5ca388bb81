// One question and its answer as nodes: the text with numbers at what it cites, the sources, the passages that were
// found. Text nodes alone. Knows the words and the addresses of sources; knows no server.

import { button, copy, element, speak } from "./parts.js";
import { address, cut, name } from "./source.js";

const AROUND = 110; // characters on either side of what is cited
const SHORT = 260; // characters of a passage

export class AnswerView {
  constructor(frame) {
    this.frame = frame;
    this.element = element("article", { class: "asked" });
  }

  // turn: {question, text, answer, index}; the answer is null as long as its text is being sent
  show(turn) {
    const { answer } = turn, open = this.element.querySelector("details")?.open ?? false;
    const said = answer ? this.answered(turn) : element("p", { class: "answer-text", dir: "auto" }, turn.text);
    const rest = answer ? [this.under(turn), this.sources(turn), this.passages(turn, open)] : [];
    this.element.replaceChildren(element("h3", { class: "asked-question", dir: "auto" }, turn.question), said, ...rest);
    this.element.classList.toggle("is-refused", Boolean(answer?.refused));
    this.element.classList.toggle("is-open", !answer);
    return this.element;
  }

  // The text, behind each part of it the numbers of what it is cited for.
  answered({ answer, index }) {
    const numbers = numbered(answer.citations), length = [...answer.answer].length;
    const ends = [...new Set(answer.citations.map((one) => one.last || length))].sort((one, other) => one - other);
    const pieces = cut(answer.answer, ...ends), made = element("p", { class: "answer-text", dir: "auto" });
    ends.forEach((end, place) => {
      const here = answer.citations.filter((one) => (one.last || length) === end);
      made.append(pieces[place], ...[...new Set(here.map((one) => numbers.get(key(one))))].map((number) => this.number(number, here, numbers, index)));
    });
    made.append(pieces.at(-1));
    return made;
  }

  number(number, here, numbers, index) {
    const one = here.find((citation) => numbers.get(key(citation)) === number), label = this.frame.word("cite").replace("{n}", number).replace("{name}", name(one));
    return element("sup", {}, element("a", { href: address({ ...one, index }), class: "cite", "aria-label": label, title: label }, String(number)));
  }

  under({ question, answer }) {
    const { word } = this.frame, told = [...(answer.refused ? [] : [word("how")[answer.how] ?? answer.how]), word("sure").replace("{n}", answer.confidence.toFixed(2))];
    const line = element("p", { class: "under" }, ...told.map((one) => element("span", {}, one)));
    if (answer.question !== question) line.append(element("span", { dir: "auto" }, word("searched").replace("{q}", answer.question)));
    if (!answer.refused) line.append(speak(button(() => copy(plain(answer)), { picture: "copy", label: "copyAnswer", kind: "tool" }), word));
    return line;
  }

  // What is cited, each once, with the words around it.
  sources({ answer, index }) {
    const numbers = numbered(answer.citations), list = element("ol", { class: "sources", "aria-label": this.frame.word("sources") });
    const once = [...new Map(answer.citations.map((one) => [key(one), one])).values()];
    for (const one of once) {
      const [before, after] = around(one, answer.passages);
      const link = element("a", { href: address({ ...one, index }), dir: "auto" }, element("span", { class: "sources-number" }, String(numbers.get(key(one)))), this.place(one));
      list.append(element("li", {}, link, element("blockquote", { dir: "auto" }, before, element("mark", {}, one.text), after)));
    }
    list.hidden = !once.length;
    return list;
  }

  passages({ answer, index }, open) {
    const { word } = this.frame, count = answer.passages.length;
    const box = element("details", { class: "passages" }, element("summary", {}, word(answer.refused ? "nearest" : "found").replace("{n}", count)));
    box.open = open;
    box.hidden = !count;
    box.append(element("ol", {}, ...answer.passages.map((one) => {
      const known = [["score", one.score, 3], ["likeness", one.cosine, 2], ["words", one.lexical, 2]].filter(([, value]) => value);
      const scores = known.map(([kind, value, digits]) => word(kind).replace("{n}", value.toFixed(digits)));
      const [short, rest] = cut(one.text, SHORT);
      return element("li", {}, element("a", { href: address({ ...one, index }), dir: "auto" }, this.place(one)),
        element("span", { class: "scores" }, scores.join(" · ")), element("p", { dir: "auto" }, short + (rest ? "…" : "")));
    })));
    return box;
  }

  // What a span stands in: the document, its headings, the page.
  place(one) {
    return [name(one), one.heading.replaceAll(" > ", " › "), one.page ? this.frame.word("page").replace("{n}", one.page) : ""].filter(Boolean).join(" › ");
  }
}

const key = ({ document: number, start, end }) => `${number}:${start}:${end}`;

// The number of each span that is cited, in their order.
function numbered(citations) {
  const numbers = new Map();
  for (const one of citations) if (!numbers.has(key(one))) numbers.set(key(one), numbers.size + 1);
  return numbers;
}

// The words before and behind a span, of the passage that it stands in.
function around(one, passages) {
  const passage = passages.find((other) => other.document === one.document && other.start <= one.start && one.end <= other.end);
  if (!passage) return ["", ""];
  const [before, , after] = cut(passage.text, one.start - passage.start, one.end - passage.start);
  const left = [...before], right = [...after];
  return [left.length > AROUND ? "…" + left.slice(-AROUND).join("") : before, right.length > AROUND ? right.slice(0, AROUND).join("") + "…" : after];
}

// The answer with its sources as text, for the clipboard.
function plain(answer) {
  const numbers = numbered(answer.citations);
  const lines = [...new Map(answer.citations.map((one) => [key(one), one])).values()].map((one) => `[${numbers.get(key(one))}] ${name(one)}: ${one.text}\n${one.url}`);
  return [answer.answer, ...lines].join("\n\n");
}

// What a model thought at each token: lays its tokens along the text, and shows the likeliest in a card.
// Knows the columns of /v1/completions; knows nothing of the sheet or of writing.

import { button, element } from "./parts.js";

const LEVELS = [0.5, 0.2, 0.05, 0.01]; // a token below each is underlined more strongly
const SHOWN = 5;
const LONGEST = 4; // tokens that one character may be cut into
const CONTROLS = 0x2400; // where Unicode has pictures of control characters
const encoder = new TextEncoder();

export const level = (chance) => LEVELS.filter((border) => chance < border).length;

// Tokens come with their strings, the text in pieces that may come later; a character may be cut in several tokens.
export class Aligner {
  constructor(place) {
    Object.assign(this, { place, text: "", queue: [] });
  }

  // A piece and the table beside it; gives the tokens that now have their place: {start, end, chance, others}.
  push(piece, table) {
    this.text += piece;
    table?.tokens.forEach((name, number) => this.queue.push({ name, chance: Math.exp(table.token_logprobs[number] ?? 0), others: ranked(table.top_logprobs?.[number]) }));
    const placed = [];
    while (this.queue.length && this.text) {
      const [count, string] = this.whole();
      if (string && this.text.startsWith(string)) placed.push(this.lay(count, string.length));
      else if (string?.startsWith(this.text)) break; // the rest of the token's text is still to come
      else placed.push(this.lay(this.queue.length, this.text.length)); // no whole characters, or a mark without text
    }
    if (!this.queue.length) this.place += this.text.length;
    if (!this.queue.length) this.text = "";
    return placed;
  }

  // The fewest tokens that are whole characters together: [how many, as a string]; null where they never are.
  whole() {
    const bytes = [];
    for (let count = 1; count <= Math.min(this.queue.length, LONGEST); count++) {
      bytes.push(...bytesOf(this.queue[count - 1].name));
      try {
        return [count, new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes))];
      } catch { /* not yet */ }
    }
    return [0, null];
  }

  lay(count, length) {
    const tokens = this.queue.splice(0, count), start = this.place, end = (this.place += length);
    this.text = this.text.slice(length);
    const chance = tokens.reduce((product, token) => product * token.chance, 1);
    return { start, end, chance, others: tokens.length === 1 ? tokens[0].others : [] };
  }
}

function ranked(top) {
  return Object.entries(top ?? {}).map(([name, logprob]) => ({ name, chance: Math.exp(logprob) }))
    .sort((one, other) => other.chance - one.chance);
}

// The server spells a part of a character as "bytes:\xe4\xb8".
function bytesOf(name) {
  if (!/^bytes:(\\x[0-9a-f]{2})+$/.test(name)) return encoder.encode(name);
  return name.slice(8).split("\\x").map((digits) => Number.parseInt(digits, 16));
}

export function visible(name) {
  return name.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥")
    .replaceAll(/[\0-\x1f]/g, (letter) => String.fromCharCode(CONTROLS + letter.charCodeAt(0)));
}

const percent = (chance) => (chance < 0.001 ? "<0.1 %" : `${(chance * 100).toFixed(chance < 0.1 ? 1 : 0)} %`);

// The card. `choose(token, name)` is called when another token is clicked.
export class Card {
  constructor(choose) {
    this.choose = choose;
    this.token = null;
    this.title = element("p", { "data-word": "cardTitle" });
    this.rows = element("div", { class: "card-rows" });
    this.element = element("div", { class: "card", id: "card", role: "group", "data-label": "cardLabel", hidden: "" }, this.title, this.rows);
    this.element.addEventListener("keydown", (event) => this.move(event));
  }

  show(token, string, box, within) {
    this.element.hidden = false;
    if (this.token !== token) this.fill(token, string);
    this.token = token;
    const width = this.element.offsetWidth, left = Math.max(0, Math.min(box.left - within.left - 12, within.width - width));
    this.element.style.setProperty("left", `${left}px`);
    this.element.style.setProperty("top", `${box.bottom - within.top + 6}px`);
  }

  hide() {
    this.element.hidden = true;
    this.token = null;
  }

  fill(token, string) {
    const likeliest = token.others.slice(0, SHOWN), own = token.others.find(({ name }) => name === string);
    const all = own && !likeliest.includes(own) ? [...likeliest, own] : likeliest.length ? likeliest : [{ name: string, chance: token.chance }];
    this.rows.replaceChildren(...all.map((other) => this.row(token, other, other.name === string)));
  }

  row(token, { name, chance }, own) {
    const cut = name.startsWith("bytes:\\x"); // a part of a character is nothing that one could go on from
    const made = button(() => this.choose(token, name), { kind: own ? "chance own" : "chance" });
    const bar = element("span", { class: "chance-bar", "aria-hidden": "true" });
    bar.style.setProperty("--part", `${Math.max(1, chance * 100)}%`);
    made.append(element("span", { class: "chance-name" }, visible(name)), bar, element("span", { class: "chance-share" }, percent(chance)));
    made.disabled = cut;
    if (own) made.setAttribute("aria-current", "true");
    return made;
  }

  move(event) {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    const rows = [...this.rows.children], place = rows.indexOf(document.activeElement);
    rows[(place + by + rows.length) % rows.length].focus();
    event.preventDefault();
  }
}

// The text of one Markdown block -> nodes: emphasis, code, links, line breaks. Knows nothing of blocks.
// Each place of the text is looked at a bounded number of times, whatever a model writes.

import { element } from "./parts.js";

const OPEN_MOST = 64; // marks of emphasis that wait for their other half
const ADDRESS = /^https?:\/\/[^\s<>"'`，。；：！？（）【】「」『』、]+/i;
const LINK = /^!?\[((?:[^[\]\\\n]|\\.){0,1000})\]\(\s*<?([^\s<>()]{0,2000}(?:\([^\s<>()]{0,500}\)[^\s<>()]{0,500})?)>?(?:\s+["'][^"'\n]{0,500}["'])?\s*\)/;
const ESCAPED = /^\\[!-/:-@[-`{-~]/;
const WORD = /[\p{L}\p{N}]/u;

export function inline(text) {
  const made = [], open = []; // made: nodes; open: marks of emphasis, {char, length, place in made, opens, closes}
  let plain = "";
  const flush = () => {
    if (plain) made.push(document.createTextNode(plain));
    plain = "";
  };
  const put = (node) => {
    flush();
    made.push(node);
  };
  for (let at = 0; at < text.length; ) {
    const found = special(text, at);
    if (!found) plain += text[at++];
    else {
      if (found.node) put(found.node);
      else if (found.char) {
        flush();
        emphasis(found, made, open);
      } else plain += found.plain;
      at += found.taken;
    }
  }
  flush();
  return made;
}

// What begins at a place, if it is more than a letter: {taken, node | plain | char...}.
function special(text, at) {
  switch (text[at]) {
    case "\n": return { taken: 1, node: element("br") };
    case "\\": return ESCAPED.test(text.slice(at, at + 2)) ? { taken: 2, plain: text[at + 1] } : null;
    case "`": return code(text, at);
    case "!": case "[": return link(text, at);
    case "<": return pointed(text, at);
    case "h": case "H": return bare(text, at);
    case "*": case "_": case "~": return mark(text, at);
    default: return null;
  }
}

function run(text, at) {
  let end = at;
  while (text[end] === text[at]) end++;
  return end - at;
}

function code(text, at) {
  const length = run(text, at), fence = "`".repeat(length);
  for (let end = text.indexOf(fence, at + length); end >= 0; ) {
    const found = run(text, end);
    if (found === length) {
      const inside = text.slice(at + length, end).replaceAll("\n", " ");
      const trimmed = /^ .*[^ ].* $/.test(inside) ? inside.slice(1, -1) : inside;
      return { taken: end + length - at, node: element("code", {}, trimmed) };
    }
    end = text.indexOf(fence, end + found);
  }
  return { taken: length, plain: fence };
}

function link(text, at) {
  const found = text.slice(at, at + 4000).match(LINK);
  if (!found) return null;
  const label = found[1].replaceAll(/\\([!-/:-@[-`{-~])/g, "$1");
  return { taken: found[0].length, node: linked(label, found[2]) };
}

function pointed(text, at) {
  const found = text.slice(at + 1, at + 2000).match(ADDRESS);
  return found && text[at + 1 + found[0].length] === ">" ? { taken: found[0].length + 2, node: linked("", found[0]) } : null;
}

function bare(text, at) {
  if (/[A-Za-z0-9]/.test(text[at - 1] ?? "")) return null;
  const found = text.slice(at, at + 2000).match(ADDRESS)?.[0] ?? "", address = found.slice(0, addressEnd(found));
  return ADDRESS.test(address) ? { taken: address.length, node: linked("", address) } : null;
}

// Without the punctuation of the sentence around it; a bracket that was opened inside belongs to it.
function addressEnd(found) {
  let end = found.length;
  const count = (letter) => found.slice(0, end).split(letter).length;
  while (/[.,;:!?*_~)\]}]/.test(found[end - 1] ?? "") && !(found[end - 1] === ")" && count("(") >= count(")"))) end--;
  return end;
}

// The label, and beside it the address as the browser reads it, so that no label can pose as another address.
function linked(label, address) {
  const target = ADDRESS.test(address) && URL.canParse(address) ? new URL(address).href : null;
  const said = [label && label !== address ? label : "", target ?? address].filter(Boolean);
  const inside = said.length > 1 ? [element("bdi", {}, said[0]), " ", element("span", { class: "address" }, `(${said[1]})`)] : said;
  if (!target) return element("span", { class: "no-link" }, ...inside);
  return element("a", { href: target, target: "_blank", rel: "noopener noreferrer" }, ...inside);
}

function mark(text, at) {
  const char = text[at], length = run(text, at), before = text[at - 1] ?? " ", after = text[at + length] ?? " ";
  if (char === "~" && length !== 2) return { taken: length, plain: char.repeat(length) };
  const inWord = char === "_" && WORD.test(before) && WORD.test(after);
  return { taken: length, char, length, opens: !/\s/.test(after) && !inWord, closes: !/\s/.test(before) && !inWord };
}

const TAGS = { "~": () => "del", "*": (used) => (used === 2 ? "strong" : "em"), _: (used) => (used === 2 ? "strong" : "em") };

// Close what is open as far as it fits; what is left of the mark stands as letters and may open.
function emphasis(found, made, open) {
  let left = found.length;
  while (found.closes && left) {
    const place = open.findLastIndex((one) => one.char === found.char && one.place < made.length - 1);
    if (place < 0) break;
    const opener = open[place], used = Math.min(2, left, opener.length);
    open.length = place + 1;
    const inside = made.splice(opener.place + 1);
    opener.length -= used;
    left -= used;
    made[opener.place].data = opener.char.repeat(opener.length);
    made.push(element(TAGS[found.char](used), {}, ...inside));
    if (!opener.length) open.pop();
  }
  if (!left) return;
  made.push(document.createTextNode(found.char.repeat(left)));
  if (found.opens) open.push({ char: found.char, length: left, place: made.length - 1 });
  if (open.length > OPEN_MOST) open.shift();
}

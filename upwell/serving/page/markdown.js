// Markdown -> nodes. What it is given may be anything: it becomes text nodes in a fixed set of elements, a link
// leads only where http does, an image is a link, and HTML stays letters. Knows no words, no tabs, no server.
//
//   const show = renderer(container, makeCopy);   show(text);   show(text + more);
//
// While a text grows, only the blocks that changed are made anew, so that nothing flickers.

import { element } from "./parts.js";
import { inline } from "./inline.js";

const DEEPEST = 12; // quotes in lists in quotes: beyond this they are plain paragraphs
const FENCE = /^( {0,3})(`{3,}|~{3,})([^`]*)$/;
const HEADING = /^ {0,3}(#{1,6})(?=\s|$)/;
const RULE = /^ {0,3}(?:(?:-\s*){3,}|(?:\*\s*){3,}|(?:_\s*){3,})$/;
const QUOTE = /^ {0,3}>/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(?:\s+(.*))?$/;
const DASHES = /^\s*\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*$/;
const LONGEST_DASHES = 1000;

// ---- lines -> blocks: {kind, lines, ...} ----

function blocksOf(lines) {
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    if (lines[at].trim() === "") {
      at++;
      continue;
    }
    const taken = fence(lines, at) ?? single(lines, at) ?? quote(lines, at) ?? list(lines, at) ?? table(lines, at) ?? paragraph(lines, at);
    blocks.push(taken);
    at += taken.lines.length;
  }
  return blocks;
}

function fence(lines, at) {
  const open = lines[at].match(FENCE);
  if (!open) return null;
  const [, indent, marks, info] = open;
  const onlyMarks = (line) => [...line.trim()].every((letter) => letter === marks[0]);
  const closes = (line) => onlyMarks(line) && line.trim().length >= marks.length;
  let end = at + 1;
  while (end < lines.length && !closes(lines[end])) end++;
  // A last line that may yet become the end of the code is not shown as code, and then taken back.
  const last = end === lines.length && end > at + 1 && onlyMarks(lines[end - 1]) ? end - 1 : end;
  const code = lines.slice(at + 1, last).map((line) => line.slice(0, indent.length).trim() + line.slice(indent.length));
  return { kind: "code", language: info.trim().split(/\s/)[0].slice(0, 30), code: code.join("\n"), lines: lines.slice(at, end + 1) };
}

function single(lines, at) {
  const heading = lines[at].match(HEADING);
  if (heading) return { kind: "heading", level: heading[1].length, text: headingText(lines[at]), lines: [lines[at]] };
  return RULE.test(lines[at]) ? { kind: "rule", lines: [lines[at]] } : null;
}

// Without the marks before and behind it; by hand, since a pattern for both ends looks at a long line too often.
function headingText(line) {
  const text = line.trim().replace(/^#+/, "").trim();
  let end = text.length;
  while (text[end - 1] === "#") end--;
  return end === text.length || (end && !/\s/.test(text[end - 1])) ? text : text.slice(0, end).trim();
}

function quote(lines, at) {
  let end = at;
  while (end < lines.length && QUOTE.test(lines[end])) end++;
  const inside = lines.slice(at, end).map((line) => line.replace(/^ {0,3}> ?/, ""));
  return end > at ? { kind: "quote", inside, lines: lines.slice(at, end) } : null;
}

const depth = (line) => line.length - line.trimStart().length;
const begins = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

// Items of one marker kind; what is indented further than the marker belongs to the item, however much further.
function list(lines, at) {
  const first = lines[at].match(ITEM);
  if (!first) return null;
  const ordered = /\d/.test(first[2]), margin = first[1].length, items = [];
  let end = at;
  while (end < lines.length) {
    const marker = lines[end].match(ITEM);
    if (!marker || marker[1].length > margin + 1 || /\d/.test(marker[2]) !== ordered || RULE.test(lines[end])) break;
    const next = itemEnd(lines, end + 1, marker[1].length), rest = lines.slice(end + 1, next);
    const dedent = rest.filter((line) => line.trim() && depth(line) > margin)
      .reduce((least, line) => Math.min(least, depth(line)), marker[1].length + marker[2].length + 1);
    items.push([marker[3] ?? "", ...rest.map((line) => line.slice(Math.min(dedent, depth(line))))]);
    end = next;
    let after = end;
    while (lines[after]?.trim() === "") after++;
    if (after > end && after < lines.length && sameList(lines[after], ordered, margin)) end = after;
  }
  return { kind: "list", ordered, start: ordered ? Number.parseInt(first[2], 10) : 1, items, lines: lines.slice(at, end) };
}

function sameList(line, ordered, margin) {
  const marker = line.match(ITEM);
  return marker && /\d/.test(marker[2]) === ordered && marker[1].length <= margin + 1;
}

function itemEnd(lines, from, margin) {
  let end = from;
  while (end < lines.length) {
    const line = lines[end], blank = line.trim() === "";
    const lazy = !blank && lines[end - 1].trim() !== "" && !begins(line);
    if (blank ? !(lines[end + 1]?.trim() && depth(lines[end + 1]) > margin + 1) : !(depth(line) > margin + 1 || lazy)) break;
    end++;
  }
  return end;
}

const cells = (line) => line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "").split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll("\\|", "|"));

function table(lines, at) {
  if (!lines[at].includes("|") || !lines[at + 1]?.includes("-") || lines[at + 1].length > LONGEST_DASHES || !DASHES.test(lines[at + 1])) return null;
  const head = cells(lines[at]), dashes = cells(lines[at + 1]);
  if (head.length !== dashes.length) return null;
  let end = at + 2;
  while (end < lines.length && lines[end].trim() !== "" && lines[end].includes("|")) end++;
  const sides = dashes.map((dash) => (dash.endsWith(":") ? (dash.startsWith(":") ? "center" : "right") : ""));
  return { kind: "table", head, sides, rows: lines.slice(at + 2, end).map(cells), lines: lines.slice(at, end) };
}

function paragraph(lines, at) {
  let end = at + 1;
  while (end < lines.length && lines[end].trim() !== "" && !begins(lines[end]) && !table(lines, end)) end++;
  return { kind: "text", lines: lines.slice(at, end) };
}

// ---- blocks -> nodes ----

const MAKE = {
  text: ({ lines }) => element("p", {}, ...inline(lines.map((line) => line.trim()).join("\n"))),
  // The page has headings of its own above these.
  heading: ({ level, text }) => element("h" + Math.min(6, level + 2), { class: "level-" + level }, ...inline(text)),
  rule: () => element("hr"),
  quote: ({ inside }, tools, deep) => element("blockquote", {}, ...nodes(inside, tools, deep + 1)),
  list: listNode,
  table: tableNode,
  code: codeNode,
};

function nodes(lines, tools, deep) {
  if (deep > DEEPEST) return lines.some(Boolean) ? [element("p", {}, lines.join("\n"))] : [];
  return blocksOf(lines).map((block) => MAKE[block.kind](block, tools, deep));
}

function listNode({ ordered, start, items }, tools, deep) {
  const made = items.map((lines) => {
    const inside = nodes(lines, tools, deep + 1);
    // The one paragraph of a short item is its text.
    if (inside[0]?.tagName === "P" && inside.slice(1).every((node) => node.tagName !== "P")) inside.splice(0, 1, ...inside[0].childNodes);
    return element("li", {}, ...inside);
  });
  return element(ordered ? "ol" : "ul", ordered && start !== 1 ? { start } : {}, ...made);
}

function tableNode({ head, sides, rows }) {
  const row = (texts, tag) => element("tr", {}, ...head.map((_, column) =>
    element(tag, sides[column] ? { class: sides[column] } : {}, ...inline(texts[column] ?? ""))));
  const body = rows.length ? [element("tbody", {}, ...rows.map((texts) => row(texts, "td")))] : [];
  const table = element("table", {}, element("thead", {}, row(head, "th")), ...body);
  return element("div", { class: "wide", tabindex: 0 }, table); // wide tables are moved by the keyboard too
}

function codeNode({ language, code }, { makeCopy }) {
  const text = element("code", {}, code), head = element("div", { class: "code-head" }, element("span", { class: "code-language" }, language));
  if (makeCopy) head.append(makeCopy(() => text.textContent));
  return element("div", { class: "code" }, head, element("pre", { tabindex: 0 }, text));
}

// Put what a block has become into the node of what it was; false where that takes a new node.
function grown(node, before, now) {
  if (before.kind !== "code" || now.kind !== "code" || before.language !== now.language || !now.code.startsWith(before.code)) return false;
  node.querySelector("code").append(now.code.slice(before.code.length));
  return true;
}

// ---- the one entrance ----

// makeCopy(getText): the button that copies a piece of code, or null for none
export function renderer(container, makeCopy = null) {
  let shown = []; // {block, source, node}
  return (text) => {
    const blocks = blocksOf(text.replaceAll("\r", "").replaceAll("\t", "    ").split("\n"));
    const next = blocks.map((block, place) => {
      const source = block.lines.join("\n"), old = shown[place];
      const stays = old && old.block.kind === block.kind && (old.source === source || grown(old.node, old.block, block));
      return { block, source, node: stays ? old.node : MAKE[block.kind](block, { makeCopy }, 0) };
    });
    next.forEach(({ node }, place) => {
      if (!shown[place]) container.append(node);
      else if (shown[place].node !== node) shown[place].node.replaceWith(node);
    });
    for (const { node } of shown.slice(next.length)) node.remove();
    shown = next;
  };
}

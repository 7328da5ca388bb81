// Small makers of nodes, and what several tabs need of a browser. Knows no words, no tabs, no server.
// Whatever is put into a node here is an attribute with a plain value or a text node, never markup.

const ICONS = {
  again: "M15.5 10a5.500 5.500 0 1 1-1.700-4M14.500 2.800V6.300H11",
  undo: "M4 8h8a4 4 0 0 1 0 8H8M7 4.800L3.800 8 7 11.200",
  copy: "M9 7h5a2 2 0 0 1 2 2v5a2 2 0 0 1-2 2H9a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2zM4 12V6a2 2 0 0 1 2-2h6",
  plus: "M10 4v12M4 10h12",
  pencil: "M4 16l.8-3.400 8.400-8.400a1.500 1.500 0 0 1 2.100 0l.5.5a1.500 1.500 0 0 1 0 2.100L7.400 15.200z",
  bin: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.600L14 6",
  out: "M10 12V3M6.700 6.200L10 3l3.300 3.200M4 12v4h12v-4",
  into: "M10 3v9M6.700 8.800L10 12l3.300-3.200M4 12v4h12v-4",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  close: "M5 5l10 10M15 5L5 15",
  list: "M4 5.500h12M4 10h12M4 14.500h8",
  onward: "M4 10h11M11 5.500L15.500 10 11 14.500",
  quill: "M3 13c2.300 0 2.300-1.800 4.700-1.800S10 13 12.300 13s2.300-1.800 4.700-1.800M10 8V3M7.500 5.300L10 2.800l2.500 2.500",
  halt: "M7 5h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H7a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z",
};

export const at = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function icon(name) {
  const space = document.querySelector("svg").namespaceURI; // as the one in index.html has it
  const svg = document.createElementNS(space, "svg"), path = document.createElementNS(space, "path");
  for (const [key, value] of Object.entries({ viewBox: "0 0 20 20", "aria-hidden": "true", class: name })) svg.setAttribute(key, value);
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

// A button; `word` names what stands on it, `label` what it is called where that says too little.
export function button(press, { picture, word, label, kind = "plain", ...attributes } = {}) {
  const made = element("button", { type: "button", class: kind, "data-label": label, ...attributes });
  if (picture) made.append(icon(picture));
  if (word) made.append(element("span", { "data-word": word }));
  made.addEventListener("click", press);
  return made;
}

// Give every node its words, by the names in its data attributes.
export function speak(root, word) {
  const each = (key) => [...root.querySelectorAll(`[data-${key}]`), ...(root.matches?.(`[data-${key}]`) ? [root] : [])];
  for (const node of each("word")) node.textContent = word(node.dataset.word);
  for (const node of each("tip")) node.title = word(node.dataset.tip);
  for (const node of each("hint")) node.placeholder = word(node.dataset.hint);
  for (const node of each("label")) {
    const isButton = node.tagName === "BUTTON"; // one with words on it is called by them; the label then explains
    if (!isButton || !node.textContent.trim()) node.setAttribute("aria-label", word(node.dataset.label));
    else node.removeAttribute("aria-label");
    if (isButton) node.title = word(node.dataset.label);
  }
  return root;
}

// Without the permission, or away from localhost, the older way still copies.
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = element("textarea", { class: "aside-copy", "aria-hidden": "true" }), before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    before?.focus();
  }
}

export const nearBottom = () => innerHeight + scrollY > document.documentElement.scrollHeight - 120;
export const toBottom = () => scrollTo({ top: document.documentElement.scrollHeight });
// Enter and Esc belong to the input method while it composes.
export const composing = (event) => event.isComposing || event.keyCode === 229;

// Pieces are drawn once a frame, however fast they come, and counted for tokens/s as they come.
export class Meter {
  constructor(draw, tell) {
    Object.assign(this, { draw, tell, held: "", count: 0, counted: 0, begun: null, ended: null, frame: null });
  }

  put(piece) {
    this.ended = performance.now();
    this.begun ??= this.ended;
    this.count++;
    this.held += piece;
    this.frame ??= requestAnimationFrame(() => this.flush());
  }

  flush() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    if (this.held) this.draw(this.held);
    this.held = "";
    if (this.count) this.tell(this.tokens, this.perSecond);
  }

  get tokens() {
    return this.counted || this.count;
  }

  get perSecond() {
    const seconds = (this.ended - this.begun) / 1000;
    return this.count > 1 && seconds > 0.05 ? (this.count - 1) / seconds : null;
  }
}

export function speed(word, tokens, perSecond) {
  if (!tokens) return "";
  return `${tokens} ${word("tokens")}` + (perSecond ? ` · ${perSecond.toFixed(perSecond < 10 ? 1 : 0)} ${word("perSecond")}` : "");
}

// What the tabs have in common: each has a foot, and one field in which one types.
export class Tab {
  shown() {
    this.foot.show();
    this.focus();
  }

  hidden() {}

  busy() {
    return this.foot.running !== null;
  }

  stop() {
    this.foot.stop();
  }

  focus() {
    this.field.focus();
  }

  arrived() {}

  linked() {}
}

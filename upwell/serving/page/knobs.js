// The settings of a model that writes: each explains itself, those that were changed are marked.
// Knows what the server calls them; knows nothing of tabs. What is set is kept under the name it was given.

import { button, element, speak } from "./parts.js";
import { remember, remembered } from "./store.js";

const KNOBS = {
  temperature: { min: 0, max: 2, step: 0.05, usual: 0.8 },
  length: { min: 10, max: 2000, step: 10, usual: 200 },
  top_k: { min: 0, max: 200, step: 1, usual: 0 },
  top_p: { min: 0.05, max: 1, step: 0.05, usual: 1 },
  min_p: { min: 0, max: 0.5, step: 0.01, usual: 0 },
  repetition_penalty: { min: 1, max: 2, step: 0.05, usual: 1 },
  presence_penalty: { min: -2, max: 2, step: 0.1, usual: 0 },
  frequency_penalty: { min: -2, max: 2, step: 0.1, usual: 0 },
  seed: { usual: null },
  stop: { usual: "" },
};
const PRESETS = {
  precise: { temperature: 0.2, top_k: 0, top_p: 0.9, min_p: 0 },
  balanced: { temperature: 0.8, top_k: 0, top_p: 1, min_p: 0 },
  wild: { temperature: 1.3, top_k: 0, top_p: 1, min_p: 0.02 },
};
const STOPS = 16, STOP_LENGTH = 256; // as the server has them

const usual = () => Object.fromEntries(Object.entries(KNOBS).map(([name, knob]) => [name, knob.usual]));
const shown = (value) => String(Math.round(value * 100) / 100);

export class Knobs {
  // kept: the name it is remembered by; prefix: of the ids of its fields; word(name): a word of the page
  constructor(kept, prefix, word) {
    Object.assign(this, { kept, prefix, word, values: { ...usual(), ...remembered(kept, {}) }, rows: {} });
    this.presets = element("div", { class: "presets", role: "group", "data-label": "presets" }, ...Object.keys(PRESETS).map(
      (name) => button(() => this.set(PRESETS[name]), { word: name, kind: "chip", "data-preset": name })));
    this.reset = button(() => this.set(usual()), { word: "reset", kind: "link", id: `${prefix}reset` });
    this.element = element("div", { class: "knobs" }, this.presets, ...Object.keys(KNOBS).map((name) => this.row(name)), this.reset);
    this.show();
  }

  // The fields of a request; what is off is left out.
  asked() {
    const { temperature, length, top_p, seed, stop, ...others } = this.values;
    const stops = stop.split("\n").filter(Boolean).map((text) => text.replaceAll("\\n", "\n").slice(0, STOP_LENGTH)).slice(0, STOPS);
    const changed = Object.entries(others).filter(([name, value]) => name in KNOBS && value !== KNOBS[name].usual);
    return {
      temperature, top_p, max_tokens: length, ...Object.fromEntries(changed),
      ...(seed === null ? {} : { seed }), ...(stops.length ? { stop: stops } : {}),
    };
  }

  set(values) {
    Object.assign(this.values, values);
    remember(this.kept, this.values);
    this.show();
  }

  speak() {
    speak(this.element, this.word);
    for (const [name, { label, help, mark }] of Object.entries(this.rows)) {
      [label.textContent, help.textContent] = this.word("knobs")[name];
      mark.setAttribute("aria-label", `${this.word("usual")}: ${label.textContent}`);
      mark.title = this.word("usual");
    }
  }

  row(name) {
    const id = `${this.prefix}knob-${name}`, label = element("label", { for: id });
    const help = element("small", { id: `${id}-help` }), output = element("output", { for: id });
    const field = this.field(name, id);
    const mark = button(() => { this.set({ [name]: KNOBS[name].usual }); field.focus(); }, { picture: "undo", kind: "mark" });
    this.rows[name] = { label, help, output, field, mark };
    const tops = name === "seed" ? [field] : name === "stop" ? [] : [output];
    const row = element("div", { class: `knob ${name}` }, element("span", { class: "knob-name" }, label, mark), ...tops);
    if (name !== "seed") row.append(field);
    row.append(help);
    return row;
  }

  field(name, id) {
    const { min, max, step } = KNOBS[name], described = { id, "aria-describedby": `${id}-help` };
    const field = name === "stop" ? element("textarea", { ...described, rows: 1, "data-hint": "noStop" })
      : name === "seed" ? element("input", { ...described, type: "number", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, "data-hint": "anySeed" })
        : element("input", { ...described, type: "range", min, max, step });
    field.addEventListener("input", () => this.set({ [name]: this.read(name, field) }));
    return field;
  }

  read(name, field) {
    if (name === "stop") return field.value;
    if (name === "seed") return field.value === "" || !field.checkValidity() ? null : Number(field.value);
    return Number(field.value);
  }

  show() {
    for (const [name, { field, output, mark }] of Object.entries(this.rows)) {
      const value = this.values[name], { min, max, usual } = KNOBS[name];
      if (document.activeElement !== field || this.read(name, field) !== value) field.value = value ?? "";
      output.textContent = typeof value === "number" ? shown(value) : "";
      if (max !== undefined) field.style.setProperty("--part", `${((value - min) / (max - min)) * 100}%`);
      mark.hidden = value === usual;
      mark.closest(".knob").classList.toggle("changed", value !== usual);
    }
    for (const chip of this.presets.children) {
      const fits = Object.entries(PRESETS[chip.dataset.preset]).every(([name, value]) => this.values[name] === value);
      chip.setAttribute("aria-pressed", String(fits));
    }
    this.reset.disabled = Object.keys(KNOBS).every((name) => this.values[name] === KNOBS[name].usual);
  }
}

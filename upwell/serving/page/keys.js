// The shortcuts of the page and the dialog that lists them. Knows which keys; what they do is given to it.

import { at, composing, element } from "./parts.js";

// [word, keys as they are shown, does this event mean it]; Alt with a letter goes by the place of the key, since
// on some keyboards the letter itself is another one then.
const alt = (code) => (event) => event.altKey && !event.ctrlKey && !event.metaKey && !event.getModifierState("AltGraph") && event.code === code;
const plain = (key) => (event) => event.key === key && !event.altKey && !event.ctrlKey && !event.metaKey && !typing(event.target);
const either = (...tests) => (event) => tests.some((test) => test(event));
const SHORTCUTS = {
  keyGoNow: [["Ctrl", "Enter"], (event) => event.key === "Enter" && (event.ctrlKey || event.metaKey)],
  keyFresh: [["Alt", "N"], alt("KeyN")],
  keyFocus: [["Alt", "I"], either(alt("KeyI"), plain("/"))],
  keyNext: [["Alt", "J"], alt("KeyJ")],
  keyBefore: [["Alt", "K"], alt("KeyK")],
  keySettings: [["Alt", "S"], alt("KeyS")],
  keyHelp: [["?"], either(alt("KeyH"), plain("?"))],
};
const ONLY_TOLD = { keyStop: ["Esc"], keySend: ["Enter"], keyLine: ["Shift", "Enter"], keyCard: ["Tab"] };

const typing = (target) => target instanceof HTMLElement && target.matches("textarea, select, input:not([type=range]):not([type=checkbox]):not([type=radio])");

// actions: {keyFresh: () => ..., ...}; escape(event): true where Esc meant something
export function listen(actions, escape) {
  document.addEventListener("keydown", (event) => {
    if (composing(event) || document.querySelector("dialog[open]") || event.defaultPrevented) return;
    const meant = event.key === "Escape" ? "escape" : Object.keys(SHORTCUTS).find((name) => SHORTCUTS[name][1](event));
    if (!meant || (meant === "escape" ? !escape(event) : actions[meant]() === false)) return;
    event.preventDefault();
  });
  at("close-help").addEventListener("click", () => at("help").close());
}

export function showKeys(word) {
  const all = { keySend: ONLY_TOLD.keySend, keyLine: ONLY_TOLD.keyLine, ...Object.fromEntries(Object.entries(SHORTCUTS).map(([name, [keys]]) => [name, keys])), ...ONLY_TOLD };
  at("keys").replaceChildren(...Object.entries(all).flatMap(([name, keys]) => [
    element("dt", {}, ...keys.flatMap((key, place) => (place ? [" + ", element("kbd", {}, key)] : [element("kbd", {}, key)]))),
    element("dd", {}, word(name)),
  ]));
}

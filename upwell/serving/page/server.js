// Requests to the server that this page came from, its event streams, and the dialog for its key.
// Knows no tab and no words: a fault carries the server's own sentence and code, or the name of a word.

import { at } from "./parts.js";

const TRIES = 3; // of a request that a full server sent away
const LONGEST_WAIT = 60;

export class Refused extends Error {
  constructor(status, error = {}, word = null) {
    super(error?.message ?? String(status));
    Object.assign(this, { status, word, code: error?.code ?? null, param: error?.param ?? null });
  }
}

// One request, asked again where the server wants a key, is loading or is full. `waiting` is told of each second:
// {kind, left, tried}, and null when the wait is over.
export async function ask(path, { body, signal, waiting = () => {} } = {}) {
  for (let tried = 0; ; ) {
    const answer = await sent(path, body, signal);
    if (answer.ok) return answer;
    const refused = new Refused(answer.status, (await answer.json().catch(() => null))?.error);
    const seconds = Math.min(LONGEST_WAIT, Math.max(1, Number(answer.headers.get("Retry-After")) || 1));
    try {
      if (answer.status === 401) await askKey(refused);
      else if (refused.code === "loading") await pause(seconds, signal, (left) => waiting({ kind: "loading", left, tried: 0 }));
      else if (answer.status === 429 && tried++ < TRIES) await pause(seconds, signal, (left) => waiting({ kind: "full", left, tried }));
      else throw refused;
    } finally {
      waiting(null);
    }
  }
}

// A form instead of JSON, with a file in it.
export const send = (path, form, signal) => ask(path, { body: form, signal });

async function sent(path, body, signal) {
  const form = body instanceof FormData; // which names its own type, with the border between its parts
  const headers = { ...(form ? {} : { "Content-Type": "application/json" }), ...(key() ? { Authorization: "Bearer " + key() } : {}) };
  try {
    return await fetch(path, { method: body ? "POST" : "GET", body: form ? body : body && JSON.stringify(body), signal, headers });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Refused(0, {}, "gone");
  }
}

async function pause(seconds, signal, tell) {
  for (let left = seconds; left > 0; left--) {
    tell(left);
    await second(signal);
  }
}

// One second, or less where the wait is ended.
function second(signal) {
  return new Promise((done, fail) => {
    const timer = setTimeout(done, 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      fail(signal.reason);
    }, { once: true });
  });
}

// One request whose answer is a stream; `put(piece, choice)` is called with each piece.
export async function stream(path, body, { signal, waiting, put }) {
  const asked = { ...body, stream: true, stream_options: { include_usage: true } };
  const answer = await ask(path, { body: asked, signal, waiting });
  const result = { finish: null, written: 0, read: 0, perSecond: null };
  for await (const event of events(answer)) {
    const choice = event.choices[0];
    if (choice) {
      result.finish = choice.finish_reason ?? result.finish;
      put(choice.text ?? choice.delta?.content ?? "", choice);
    }
    if (event.usage) Object.assign(result, { written: event.usage.completion_tokens, read: event.usage.prompt_tokens });
    result.perSecond = event.timings?.predicted_per_second || result.perSecond;
  }
  return result;
}

// Server-sent events as objects; an error event is thrown.
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read().catch((error) => {
      throw error.name === "AbortError" ? error : new Refused(0, {}, "broken");
    });
    if (done) throw new Refused(0, {}, "broken"); // a whole stream says that it is done
    held += value;
    const blocks = held.split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      if (block === "data: [DONE]") return;
      if (block.startsWith("data: ")) yield sound(JSON.parse(block.slice(6)));
    }
  }
}

function sound(event) {
  if (event.error) throw new Refused(500, event.error);
  return event;
}

// ---- the key ----

let asking = null; // several requests may want the key at once; one dialog answers them all

function key() {
  try {
    return sessionStorage.getItem("upwell.key");
  } catch {
    return null; // no storage, no kept key
  }
}

function keep(value) {
  try {
    sessionStorage.setItem("upwell.key", value);
  } catch { /* asked again next time */ }
}

function askKey(refused) {
  asking ??= keyGiven(refused).finally(() => { asking = null; });
  return asking;
}

function keyGiven(refused) {
  const dialog = at("key-dialog"), form = at("key-form");
  at("key-wrong").hidden = !key();
  at("key").value = "";
  dialog.showModal();
  return new Promise((done, fail) => {
    const submitted = (event) => {
      event.preventDefault(); // the page's policy lets no form go anywhere
      keep(at("key").value);
      dialog.close("given");
    };
    form.addEventListener("submit", submitted);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submitted);
      if (dialog.returnValue === "given") done();
      else fail(refused);
      dialog.returnValue = "";
    }, { once: true });
  });
}

// A chat with the FAQ for one's own site, by one line: <script src="ADDRESS-OF-THE-SERVER/widget.js" defer></script>
//
//   data-title, data-greeting    what stands on top, and what is said first
//   data-language                en or zh; else as the page says
//   data-colour                  of the button, as #0f6b6b
//   data-side                    left or right
//
// It talks to the server that it came from and to nobody else, sends no cookies, and puts whatever it shows into text
// nodes, inside of a shadow root. Under a strict policy the page needs script-src and connect-src for that server, and
// nothing inline. What was said stays in this tab's session storage.

(() => {
  const script = document.currentScript;
  if (!script || window.upwellWidget) return;
  const server = new URL(script.src).origin, KEPT = "upwell.faq", MOST = 60, LONGEST = 1000;
  const WORDS = {
    en: { open: "Ask us a question", close: "Close", title: "How can we help?", greeting: "Hello! What would you like to know?", field: "Your question", send: "Send",
      none: "None of these", gone: "We cannot be reached at the moment. Please try again later.", full: "That was a lot of questions. Please wait a minute.", long: "That is too long; please ask in fewer words.",
      fresh: "Begin anew", log: "Conversation", you: "You", we: "Answer", waiting: "…" },
    zh: { open: "咨询客服", close: "关闭", title: "有什么可以帮您？", greeting: "您好！请问想了解什么？", field: "您的问题", send: "发送",
      none: "都不是", gone: "暂时无法连接，请稍后再试。", full: "问得太快了，请稍等一分钟。", long: "问题太长，请用短一些的话。",
      fresh: "重新开始", log: "对话", you: "您", we: "客服", waiting: "……" },
  };
  const SPACE = ["http", "", "www.w3.org", "2000", "svg"].join("/").replace("/", ":/"); // the name of SVG, which is no address
  const data = script.dataset, language = (data.language || document.documentElement.lang || navigator.language).toLowerCase().startsWith("zh") ? "zh" : "en";
  const word = (name) => WORDS[language][name];
  const colour = CSS.supports("color", data.colour ?? "") ? data.colour : "#0f6b6b";
  const STYLE = `
    :host { all: initial; color-scheme: inherit; --own: ${colour}; --paper: light-dark(#fffefb, #172126); --sunk: light-dark(#f1ede4, #22313a); --line: light-dark(#ddd7ca, #33434b);
      --ink: light-dark(#22282b, #e6e3da); --soft: light-dark(#5f6461, #9daaaa); --alarm: light-dark(#9a3412, #f2a679); font: 400 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "PingFang SC", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif; }
    * { box-sizing: border-box; }
    button, textarea { font: inherit; color: inherit; }
    button { cursor: pointer; }
    :focus-visible { outline: 2px solid var(--own); outline-offset: 2px; }
    .launch, .panel { position: fixed; z-index: 2147483000; bottom: 20px; ${data.side === "left" ? "left" : "right"}: 20px; }
    .launch { display: grid; place-items: center; width: 56px; height: 56px; border: 0; border-radius: 50%; background: var(--own); color: #fff; box-shadow: 0 6px 20px rgb(0 0 0 / 0.25); }
    .launch:hover { filter: brightness(1.08); }
    svg { width: 26px; height: 26px; fill: none; stroke: currentColor; stroke-width: 1.7; stroke-linecap: round; stroke-linejoin: round; }
    .panel { display: flex; flex-direction: column; width: min(380px, calc(100vw - 24px)); height: min(560px, calc(100dvh - 40px)); overflow: hidden; border: 1px solid var(--line); border-radius: 16px; background: var(--paper); color: var(--ink); box-shadow: 0 16px 48px rgb(0 0 0 / 0.28); }
    [hidden] { display: none !important; }
    header { display: flex; align-items: center; gap: 4px; padding: 12px 8px 12px 16px; background: var(--own); color: #fff; }
    h2 { flex: 1; min-width: 0; margin: 0; font-size: 16px; font-weight: 600; line-height: 1.35; overflow-wrap: anywhere; }
    header button { display: grid; place-items: center; width: 36px; height: 36px; padding: 0; border: 0; border-radius: 10px; background: none; color: inherit; }
    header button:hover { background: rgb(255 255 255 / 0.18); }
    header button:focus-visible { outline-color: #fff; outline-offset: -2px; }
    header svg { width: 20px; height: 20px; }
    .log { flex: 1; overflow-y: auto; display: flex; flex-direction: column; gap: 10px; padding: 16px; overscroll-behavior: contain; }
    .said { max-width: 88%; margin: 0; padding: 9px 13px; border-radius: 14px 14px 14px 4px; background: var(--sunk); white-space: pre-wrap; overflow-wrap: anywhere; align-self: flex-start; }
    .said.you { align-self: flex-end; border-radius: 14px 14px 4px 14px; background: color-mix(in srgb, var(--own) 16%, var(--paper)); }
    .said.wrong { color: var(--alarm); }
    .said a { color: inherit; }
    .options { display: flex; flex-direction: column; align-items: flex-start; gap: 6px; max-width: 100%; }
    .options button { max-width: 100%; padding: 7px 13px; border: 1px solid var(--own); border-radius: 14px; background: none; text-align: start; overflow-wrap: anywhere; }
    .options button:hover:not(:disabled) { background: color-mix(in srgb, var(--own) 12%, transparent); }
    .options button:disabled { cursor: default; opacity: 0.5; }
    .away { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
    form { display: flex; align-items: flex-end; gap: 8px; padding: 10px 12px; border-top: 1px solid var(--line); }
    textarea { flex: 1; min-width: 0; min-height: 40px; max-height: 120px; resize: none; padding: 8px 11px; border: 1px solid var(--line); border-radius: 12px; background: var(--paper); field-sizing: content; font-size: 16px; line-height: 1.4; }
    textarea::placeholder { color: var(--soft); opacity: 1; }
    form button { flex: none; display: grid; place-items: center; width: 40px; height: 40px; padding: 0; border: 0; border-radius: 12px; background: var(--own); color: #fff; }
    form button:disabled { opacity: 0.45; cursor: default; }
    form svg { width: 20px; height: 20px; }
    @media (max-width: 460px) { .panel { left: 8px; right: 8px; bottom: 8px; width: auto; height: min(560px, calc(100dvh - 16px)); } }
    @media (prefers-reduced-motion: no-preference) { .waiting { animation: breathe 1.2s ease-in-out infinite; } @keyframes breathe { 50% { opacity: 0.35; } } }
  `;
  const ICONS = { chat: "M4 5.500h16v10.500H10.500L6 20v-4H4z", close: "M6 6l12 12M18 6L6 18", send: "M4 12h15M13 6l6 6-6 6", fresh: "M19 12a7 7 0 1 1-2-4.900M19 4v4h-4" };

  // ---- nodes ----

  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...children);
    return made;
  }

  function icon(name) {
    const svg = document.createElementNS(SPACE, "svg"), path = document.createElementNS(SPACE, "path");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    path.setAttribute("d", ICONS[name]);
    svg.append(path);
    return svg;
  }

  function pressed(name, label, press, kind = "") {
    const made = element("button", { type: "button", class: kind, "aria-label": label, title: label }, icon(name));
    made.addEventListener("click", press);
    return made;
  }

  // Addresses of the web in an answer are links; all else is text.
  function linked(text) {
    return text.split(/(https?:\/\/[^\s<>"'，。；、）)】]{1,500}[^\s<>"'，。；、）)】.,;:!?])/).map((part, place) =>
      place % 2 ? element("a", { href: part, target: "_blank", rel: "noopener noreferrer" }, part) : part);
  }

  // ---- what was said ----

  let talk = { id: null, said: [] }, busy = false;
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
    if (kept && Array.isArray(kept.said)) talk = { id: kept.id, said: kept.said.filter(({ text }) => typeof text === "string") };
  } catch { /* no storage, or somebody else's: begun anew */ }

  function keep() {
    talk.said = talk.said.slice(-MOST);
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(talk));
    } catch { /* without storage it lasts as long as the page */ }
  }

  function show({ who, text, wrong, options = [] }) {
    const said = element("p", { class: `said ${who}${wrong ? " wrong" : ""}` }, element("span", { class: "away" }, `${word(who)}: `), ...(who === "we" ? linked(text) : [text]));
    log.append(said);
    if (options.length) {
      const choices = [...options, { question: word("none") }].map(({ question }) => {
        const choice = element("button", { type: "button" }, question);
        choice.addEventListener("click", () => say(question));
        return choice;
      });
      log.append(element("div", { class: "options" }, ...choices));
    }
    log.scrollTop = log.scrollHeight;
    return said;
  }

  function add(turn) {
    talk.said.push(turn);
    keep();
    show(turn);
  }

  function showAll() {
    log.replaceChildren();
    show({ who: "we", text: data.greeting || word("greeting") });
    talk.said.forEach(show);
    settle();
  }

  // Only what was asked back last can still be chosen.
  function settle() {
    const all = [...log.querySelectorAll(".options")];
    for (const choices of all) {
      const open = !busy && choices === all.at(-1) && choices === log.lastElementChild;
      for (const choice of choices.children) choice.disabled = !open;
    }
    send.disabled = busy;
  }

  async function say(text) {
    if (busy || !text.trim()) return;
    busy = true;
    add({ who: "you", text });
    settle();
    const waiting = element("p", { class: "said waiting", "aria-hidden": "true" }, word("waiting"));
    log.append(waiting);
    log.scrollTop = log.scrollHeight;
    const reply = await asked(text);
    waiting.remove();
    busy = false;
    add(reply);
    settle();
    field.focus();
  }

  async function asked(question) {
    try {
      const answer = await fetch(`${server}/faq/ask`, { method: "POST", credentials: "omit", referrerPolicy: "no-referrer",
        headers: { "Content-Type": "application/json" }, body: JSON.stringify({ question, ...(talk.id ? { conversation: talk.id } : {}) }) });
      if (!answer.ok) return { who: "we", wrong: true, text: word(answer.status === 429 ? "full" : answer.status === 400 ? "long" : "gone") };
      const reply = await answer.json();
      talk.id = reply.conversation;
      return { who: "we", text: reply.answer, options: reply.options };
    } catch {
      return { who: "we", wrong: true, text: word("gone") };
    }
  }

  function fresh() {
    if (busy) return;
    talk = { id: null, said: [] };
    keep();
    showAll();
    field.focus();
  }

  // ---- the panel ----

  const host = element("upwell-faq"), root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const log = element("div", { class: "log", role: "log", "aria-label": word("log"), tabindex: "0" });
  const field = element("textarea", { rows: "1", maxlength: LONGEST, autocomplete: "off", placeholder: word("field"), "aria-label": word("field") });
  const send = element("button", { type: "submit", "aria-label": word("send"), title: word("send") }, icon("send"));
  const form = element("form", {}, field, send);
  const title = element("h2", { id: "title" }, data.title || word("title"));
  const panel = element("section", { class: "panel", role: "dialog", "aria-labelledby": "title", hidden: "" },
    element("header", {}, title, pressed("fresh", word("fresh"), fresh), pressed("close", word("close"), () => turn(false))), log, form);
  const launch = pressed("chat", word("open"), () => turn(true), "launch");
  launch.setAttribute("aria-expanded", "false");
  host.lang = language === "zh" ? "zh-Hans" : "en";
  root.append(panel, launch);

  function turn(open) {
    panel.hidden = !open;
    launch.hidden = open;
    launch.setAttribute("aria-expanded", String(open));
    if (open) log.scrollTop = log.scrollHeight;
    (open ? field : launch).focus();
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (busy || !text) return;
    field.value = "";
    say(text);
  });
  field.addEventListener("keydown", (event) => {
    if (event.isComposing || event.keyCode === 229 || event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    form.requestSubmit();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.isComposing) turn(false);
  });

  showAll();
  document.body.append(host);
  window.upwellWidget = Object.freeze({ open: () => turn(true), close: () => turn(false) });
})();

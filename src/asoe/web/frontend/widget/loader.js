// The one script of a page that shows the chat: a button and a frame of ours, in a closed shadow root. It reads nothing of
// the page and holds no conversation; the frame does (chat). Both speak in messages that name where they are for.
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script?.dataset.org || window.asoeChat) return;
  const desk = new URL(script.src).origin;
  const { org, lang, theme, open: opensAtOnce } = script.dataset;
  let identity = script.dataset.identity ?? null;
  let isOpen = false;
  let isReady = false;
  let isHeard = false;
  let wanted = null;

  const host = document.createElement("asoe-chat");
  const root = host.attachShadow({ mode: "closed" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
    :host { all: initial; position: fixed; inset-block-end: 20px; inset-inline-end: 20px; z-index: 2147483000; }
    :host([hidden]), [hidden] { display: none !important; }
    button { all: unset; box-sizing: border-box; inline-size: 56px; block-size: 56px; border-radius: 50%; cursor: pointer; display: grid; place-items: center;
      background: var(--fill, #3a5bc7); color: var(--ink, #fff); box-shadow: 0 2px 6px rgb(0 0 0 / .18), 0 10px 28px rgb(0 0 0 / .18); position: relative; transition: transform .15s; }
    button:hover { transform: translateY(-1px); }
    button:focus-visible { outline: 3px solid var(--fill, #3a5bc7); outline-offset: 3px; }
    svg { inline-size: 26px; block-size: 26px; fill: none; stroke: currentColor; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round; }
    b { position: absolute; inset-block-start: -2px; inset-inline-end: -2px; min-inline-size: 20px; block-size: 20px; padding-inline: 5px; box-sizing: border-box; border-radius: 10px;
      background: #b3261e; color: #fff; font: 600 12px/20px system-ui, sans-serif; text-align: center; }
    iframe { position: absolute; inset-block-end: 72px; inset-inline-end: 0; inline-size: min(400px, calc(100vw - 40px)); block-size: min(660px, calc(100dvh - 112px));
      border: 0; border-radius: 16px; background: Canvas; box-shadow: 0 2px 8px rgb(0 0 0 / .12), 0 18px 48px rgb(0 0 0 / .22); color-scheme: normal; }
    iframe.away { visibility: hidden; pointer-events: none; opacity: 0; }
    @media (max-width: 520px), (max-height: 480px) {
      iframe { position: fixed; inset: 0; inline-size: 100%; block-size: 100dvh; border-radius: 0; }
      :host(.open) button { display: none; }
    }
    @media (prefers-reduced-motion: reduce) { button { transition: none; } }
    @media print { :host { display: none; } }`);
  root.adoptedStyleSheets = [sheet];

  const button = document.createElement("button");
  button.type = "button";
  button.append(drawing("M4 5.5h16v11H11l-4.5 4v-4H4z"));
  const badge = document.createElement("b");
  badge.hidden = true;
  button.append(badge);
  button.addEventListener("click", () => (isOpen ? close() : open()));
  const frame = document.createElement("iframe");
  frame.className = "away";
  frame.tabIndex = -1;
  frame.setAttribute("aria-hidden", "true");
  frame.title = "Support";
  frame.allow = "clipboard-write";
  let words = { open: "Support", close: "Close", unread: "" };

  function open(text) {
    wanted = { text: typeof text === "string" ? text : "" };
    if (!isReady) return;
    isOpen = true;
    show();
    say({ kind: "open", ...wanted });
    wanted = null;
    frame.focus();
  }

  function close({ keepsFocus = false } = {}) {
    wanted = null;
    if (!isOpen) return;
    isOpen = false;
    show();
    say({ kind: "close" });
    if (!keepsFocus) button.focus();
  }

  function show() {
    host.classList.toggle("open", isOpen);
    frame.classList.toggle("away", !isOpen);
    frame.tabIndex = isOpen ? 0 : -1;
    if (isOpen) frame.removeAttribute("aria-hidden");
    else frame.setAttribute("aria-hidden", "true");
    button.setAttribute("aria-expanded", String(isOpen));
    button.firstChild.firstChild.setAttribute("d", isOpen ? "M6 6l12 12M18 6L6 18" : "M4 5.5h16v11H11l-4.5 4v-4H4z");
    label();
  }

  function label() {
    const unread = badge.hidden || isOpen ? "" : ` (${badge.textContent} ${words.unread})`;
    button.setAttribute("aria-label", (isOpen ? words.close : words.open) + unread);
  }

  async function tellIdentity(kind) {
    let token = identity;
    try {
      if (typeof identity === "function") token = await identity();
    } catch {
      token = null;
    }
    say({ kind, identity: typeof token === "string" && token ? token : null, lang, theme, page: location.origin + location.pathname, pageLang: document.documentElement.lang });
  }

  function say(message) {
    frame.contentWindow?.postMessage({ asoe: 1, ...message }, desk);
  }

  addEventListener("message", (event) => {
    const { data } = event;
    if (event.origin !== desk || event.source !== frame.contentWindow || data?.asoe !== 1) return;
    isHeard = true;
    if (data.kind === "hello") tellIdentity("begin");
    else if (data.kind === "identity") tellIdentity("identity");
    else if (data.kind === "close") close();
    else if (data.kind === "unread") {
      badge.hidden = !data.count;
      badge.textContent = String(Math.min(data.count, 99));
      label();
    } else if (data.kind === "ready") {
      words = data.words;
      frame.title = words.title;
      host.style.setProperty("--fill", data.fill);
      host.style.setProperty("--ink", data.ink);
      host.hidden = false;
      isReady = true;
      show();
      if (wanted || (opensAtOnce !== undefined && !isOpen)) open(wanted?.text);
    } else if (data.kind === "gone") host.hidden = true;
  });

  function drawing(path) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.append(Object.assign(document.createElementNS("http://www.w3.org/2000/svg", "path"), {}));
    svg.firstChild.setAttribute("d", path);
    return svg;
  }

  function complain() {
    if (isHeard) return;
    console.warn(
      `ASOE: the support chat of "${org}" does not open on ${location.origin}. Check that the widget is on, that data-org is the organization's ` +
        `short name, and that this origin is listed: all three under Settings > Widget at ${desk}`,
    );
  }

  function begin() {
    host.hidden = true;
    frame.addEventListener("load", () => setTimeout(complain, 2000), { once: true });
    root.append(frame, button);
    document.body.append(host);
    frame.src = `${desk}/widget/${encodeURIComponent(org)}`;
  }

  window.asoeChat = Object.freeze({
    open,
    close,
    /** Whose chat it is from now on: a signed identity, or a function that fetches one; null for nobody. */
    identify(given) {
      identity = given;
      tellIdentity("begin");
    },
    /** On signing out: nothing that was written here stays in this browser. */
    forget() {
      identity = null;
      say({ kind: "forget" });
    },
  });
  if (document.readyState === "complete") begin();
  else addEventListener("load", begin, { once: true });
})();

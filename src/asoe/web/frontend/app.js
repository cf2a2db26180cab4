// Keys, palette, theme, toasts, and live rows. Pages work without this file; nothing here holds state of a ticket.
const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const csrf = () => $('meta[name="csrf"]')?.content ?? "";

document.addEventListener("htmx:config:request", (event) => {
  const request = event.detail.ctx.request;
  if (request.method !== "GET") request.headers["X-CSRF-Token"] = csrf();
});

// A page that changes by itself leaves open what somebody opened, and half-written words alone.
htmx.registerExtension("keep", {
  htmx_before_morph_attr: (element, detail) => !(element.tagName === "DETAILS" && detail.attrName === "open"),
});
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  if (!ctx.sourceElement.closest("#reply-form") || ctx.response.status >= 400) return;
  ctx.sourceElement.reset();
  $("#composer-text").dispatchEvent(new Event("input"));
});

// --- toasts ---

function toast(text) {
  const box = $("#toasts");
  if (!box) return;
  const item = document.createElement("div");
  item.className = "toast";
  item.dataset.toast = "";
  const said = document.createElement("span");
  said.textContent = text;
  const close = document.createElement("button");
  close.type = "button";
  close.className = "icon-button";
  close.dataset.dismiss = "";
  close.setAttribute("aria-label", "Dismiss");
  close.textContent = "×";
  item.append(said, close);
  box.append(item);
  fade(item);
}

const timers = new WeakMap();
function fade(item) {
  const stop = () => clearTimeout(timers.get(item));
  const start = () => { stop(); timers.set(item, setTimeout(() => item.remove(), 9000)); };
  if (!timers.has(item)) {
    for (const name of ["pointerenter", "focusin"]) item.addEventListener(name, stop);
    for (const name of ["pointerleave", "focusout"]) item.addEventListener(name, start);
  }
  start();
}
document.addEventListener("htmx:after:swap", (event) => { if (event.detail.ctx?.selectOOB) for (const item of $$("[data-toast]")) fade(item); });

document.addEventListener("toast", (event) => toast(event.detail.text ?? event.detail.toast?.text ?? ""));
document.addEventListener("htmx:error", (event) => {
  if (event.detail.error?.name !== "AbortError" && !event.target.closest("[data-live]")) toast("That did not get through. Check the connection and try again.");
});

// --- clicks ---

document.addEventListener("click", (event) => {
  const hit = (selector) => event.target.closest(selector);
  let found;
  if ((found = hit("[data-dismiss]"))) found.closest("[data-toast]").remove();
  else if ((found = hit("[data-open]"))) open(found.dataset.open);
  else if ((found = hit("[data-close]"))) found.closest("dialog").close();
  else if (hit("[data-theme-toggle]")) toggleTheme();
  else if ((found = hit("[data-use-reply]"))) useReply($(found.dataset.useReply).textContent);
  else if ((found = hit("[data-insert]"))) { event.preventDefault(); insert(found); }
  else if ((found = hit("[data-copy]"))) copy($(found.dataset.copy).textContent);
  else if (event.target.matches("dialog")) event.target.close();
  for (const menu of $$("details.menu[open], .filters details[open]")) if (!menu.contains(event.target)) menu.open = false;
});

// What a link or button would write into the composer is put behind what stands there, without leaving the page.
async function insert(element) {
  const form = element.form;
  const asked = form ? { method: "POST", body: new URLSearchParams({ _csrf: csrf() }) } : {};
  const response = await fetch(element.formAction || element.href, asked);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  const problem = $("#composer .problem", page)?.textContent;
  if (problem || !response.ok) return toast(problem || "That did not get through. Check the connection and try again.");
  useReply($("#composer-text", page).value);
  const sources = $("#sources", page)?.textContent;
  if (sources) toast(sources.replace(/\s+/g, " "));
}

// --- who else is here ---

const here = $("#presence");
if (here) {
  const state = here.elements.state;
  let rest;
  const tell = (now) => { if (state.value !== now) { state.value = now; htmx.trigger(here, "told"); } };
  const busy = () => {
    const isNote = $('#composer input[name="kind"]:checked').value === "note";
    tell($("#composer-text").value.trim() ? (isNote ? "noting" : "writing") : "viewing");
    clearTimeout(rest);
    rest = setTimeout(() => tell("viewing"), 15000);
  };
  $("#composer-text").addEventListener("input", busy);
  for (const kind of $$('#composer input[name="kind"]')) kind.addEventListener("change", busy);
  addEventListener("pagehide", () => navigator.sendBeacon(here.action, new URLSearchParams({ _csrf: csrf(), state: "left" })));
}

async function copy(text) {
  await navigator.clipboard?.writeText(text.trim());
  toast("Copied.");
}

function useReply(text) {
  const area = $("#composer-text");
  $('#composer input[value="reply"]').checked = true;
  area.value = area.value.trim() ? `${area.value}\n\n${text.trim()}` : text.trim();
  area.focus();
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  root.dataset.theme = dark ? "light" : "dark";
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `asoe_theme=${root.dataset.theme}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}

// --- dialogs ---

function open(name) {
  const dialog = document.getElementById(name);
  if (!dialog || dialog.open) return;
  if (name === "palette") fillPalette("");
  dialog.showModal();
  if (name === "palette") $("input", dialog).select();
}

const commands = () => $$("[data-command]").map((element) => ({ element, name: element.dataset.command, key: element.dataset.key ?? "" }));

function fillPalette(text) {
  const list = $("#palette-list");
  const wanted = text.trim().toLowerCase();
  const found = commands().filter((each) => each.name.toLowerCase().includes(wanted));
  list.replaceChildren(...found.map((each, index) => {
    const item = document.createElement("li");
    item.role = "option";
    item.id = `palette-${index}`;
    item.setAttribute("aria-selected", String(index === 0));
    const name = document.createElement("span");
    name.textContent = each.name;
    item.append(name);
    if (each.key) {
      const key = document.createElement("kbd");
      key.textContent = each.key;
      item.append(key);
    }
    item.addEventListener("click", () => { $("#palette").close(); each.element.click(); });
    return item;
  }));
  mark(found.length ? 0 : -1);
}

function mark(index) {
  const items = $$("#palette-list li");
  items.forEach((item, at) => item.setAttribute("aria-selected", String(at === index)));
  const input = $("#palette-text");
  if (items[index]) {
    input.setAttribute("aria-activedescendant", items[index].id);
    items[index].scrollIntoView({ block: "nearest" });
  } else input.removeAttribute("aria-activedescendant");
}

$("#palette-text")?.addEventListener("input", (event) => fillPalette(event.target.value));
$("#palette-text")?.addEventListener("keydown", (event) => {
  const items = $$("#palette-list li");
  const at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    mark((at + (event.key === "ArrowDown" ? 1 : items.length - 1)) % Math.max(1, items.length));
  } else if (event.key === "Enter" && at >= 0) {
    event.preventDefault();
    items[at].click();
  }
});

// --- keys ---

const singleKeys = () => localStorage.getItem("asoe.single-keys") !== "off";
const box = $("#single-keys");
if (box) {
  box.checked = singleKeys();
  box.addEventListener("change", () => localStorage.setItem("asoe.single-keys", box.checked ? "on" : "off"));
}
let prefix = "";

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open("palette");
    return;
  }
  if ((event.ctrlKey || event.metaKey) && event.key === "Enter") {
    event.target.closest("form")?.requestSubmit();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
  if (event.key === "Escape") {
    for (const menu of $$("details.menu[open], .filters details[open]")) menu.open = false;
    if (event.target.matches("input, textarea, select")) event.target.blur();
    return;
  }
  if (!singleKeys() || event.target.matches("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
  const key = prefix + event.key;
  prefix = "";
  if (key === "g") {
    prefix = "g ";
    setTimeout(() => { prefix = ""; }, 1200);
  } else if (keys[key]) {
    event.preventDefault();
    keys[key]();
  } else {
    const target = $(`[data-key="${CSS.escape(key)}"]`);
    if (target) { event.preventDefault(); target.click(); }
  }
});

const rows = () => $$(".tickets > li");
const current = () => document.activeElement?.closest?.(".tickets > li");
function step(by) {
  const all = rows();
  if (!all.length) return;
  const at = all.indexOf(current());
  const next = all[at < 0 ? (by > 0 ? 0 : all.length - 1) : Math.min(all.length - 1, Math.max(0, at + by))];
  $("a", next).focus();
}
function onRow(action) {
  if (!$(".tickets :checked")) {
    const row = current();
    if (!row) return false;
    $("input[name=id]", row).checked = true;
  }
  $(`.bulk button[value="${action}"]`).click();
  return true;
}
function selectAll(is) {
  for (const input of $$(".tickets input[name=id]")) input.checked = is;
  all.checked = is;
}
const all = $("[data-select-all]");
if (all) {
  all.closest("label").hidden = false;
  all.addEventListener("change", () => selectAll(all.checked));
  $(".tickets").addEventListener("change", () => { all.checked = $$(".tickets input[name=id]").every((input) => input.checked); });
}
const press = (selector) => { const found = $(selector); if (found) found.click(); return Boolean(found); };
function write(kind) {
  const choice = $(`#composer input[value="${kind}"]`);
  if (!choice) return;
  choice.checked = true;
  $("#composer-text").focus();
}
const keys = {
  "?": () => open("help"),
  "/": () => ($("[data-search]") ? $("[data-search]").select() : open("palette")),
  j: () => step(1),
  k: () => step(-1),
  x: () => { const input = current() && $("input[name=id]", current()); if (input) input.checked = !input.checked; },
  X: () => all && selectAll(!all.checked),
  a: () => onRow("assign") || press("[data-do=take]"),
  e: () => onRow("close") || press("[data-do=close]"),
  r: () => write("reply"),
  n: () => write("note"),
};

// --- live ---

const line = $("#line");
const live = $("[data-live]");
function connected(is) {
  if (line) line.hidden = is;
  if (live) live.dataset.live = is ? "on" : "lost";
}
document.addEventListener("htmx:sse:after:connection", () => connected(true));
document.addEventListener("htmx:sse:error", () => connected(false));
document.addEventListener("htmx:sse:close", (event) => { if (event.detail.reason === "ended") connected(false); });
addEventListener("offline", () => { connected(false); live?._htmx?.sse?.reader?.cancel(); });
addEventListener("online", () => {
  const connection = live?._htmx?.sse;
  if (!connection) return;
  connection.attempt = 1;
  connection.delayCanceller?.();
});
document.addEventListener("signed-out", () => location.assign("/sign-in"));

const list = $(".tickets[data-rows]");
if (live && list) {
  const changed = new Set();
  const fresh = new Set();
  let timer, busy;
  const soon = () => { if (!busy) timer ??= setTimeout(refresh, 150); };
  live.addEventListener("changed", (event) => {
    const { kind, ticket } = JSON.parse(event.detail.data);
    if (kind === "resync") { for (const row of rows()) changed.add(row.dataset.id); fresh.add("more"); }
    else if (!ticket) return;
    else if (document.getElementById(`t-${ticket}`)) changed.add(ticket);
    else if (kind === "ticket.opened" || kind === "ticket.escalated") fresh.add(ticket);
    soon();
  });
  // What was asked for while the line was lost may not have come.
  live.addEventListener("htmx:sse:after:connection", () => {
    if (live.dataset.live !== "lost") return;
    for (const row of rows()) changed.add(row.dataset.id);
    soon();
  });
  const refresh = async () => {
    timer = undefined;
    const ids = [...changed].slice(0, 100);
    for (const id of ids) changed.delete(id);
    busy = true;
    if (ids.length) await htmx.ajax("GET", `/queue/rows?ids=${ids.join(",")}`, { source: list, swap: "none" });
    busy = false;
    if (changed.size) soon();
    const news = $("#news");
    if (fresh.size && news) {
      news.hidden = false;
      $("a", news).textContent = fresh.has("more") ? "There may be new tickets. Show them" : `${fresh.size} new ${fresh.size === 1 ? "ticket" : "tickets"}. Show`;
    }
  };
}

for (const item of $$("[data-toast]")) fade(item);
for (const tab of $$(".tabs [aria-current]")) tab.scrollIntoView({ block: "nearest", inline: "center" });

// The chat itself: a list of the client's conversations, and one of them. What the server says is the truth; what is not
// sent yet stands below it. Nodes stay where they are while nothing changed, so that a screen reader reads what is new.
const ICONS = {
  back: "M15 5l-7 7 7 7", close: "M6 6l12 12M18 6L6 18", send: "M5 12h13M12 5l7 7-7 7", file: "M20 11.5l-8.2 8.2a5 5 0 0 1-7.1-7.1l8.6-8.6a3.3 3.3 0 0 1 4.7 4.7L9.6 17a1.7 1.7 0 0 1-2.4-2.4l7.6-7.6",
  person: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20a7.5 7.5 0 0 1 15 0", go: "M9 5l7 7-7 7", down: "M12 4v11M7 11l5 5 5-5M5 20h14",
};
const $ = (id) => document.getElementById(id);
const isFramed = window.parent !== window;
const org = document.body.dataset.org;

const page = { identity: null, address: "", origin: null };
const chat = { look: null, wire: null, outbox: null, list: [], now: null, id: null, isOpen: !isFramed, isLinked: true, seen: {}, follower: null, drafts: {} };

// --- the page around us ---

const waiting = [];
function toPage(message) {
  if (isFramed) window.parent.postMessage({ asoe: 1, ...message }, page.origin ?? "*");
}

function askIdentity() {
  if (!isFramed) return Promise.resolve(null);
  const asked = new Promise((go) => waiting.push(go));
  toPage({ kind: "identity" });
  return Promise.race([asked, wait(8000).then(() => null)]);
}

addEventListener("message", (event) => {
  const { data } = event;
  if (!isFramed || event.source !== window.parent || data?.asoe !== 1) return;
  page.origin ??= event.origin;
  if (event.origin !== page.origin) return;
  if (data.kind === "begin") {
    Object.assign(page, { identity: text(data.identity), address: text(data.page) ?? "", lang: text(data.lang), pageLang: text(data.pageLang), theme: text(data.theme) });
    begin();
  } else if (data.kind === "identity") {
    page.identity = text(data.identity);
    for (const go of waiting.splice(0)) go(page.identity);
  } else if (data.kind === "open") {
    chat.isOpen = true;
    if (text(data.text) && !$("words").value) write(text(data.text));
    read();
    follow();
    $("words").focus();
  } else if (data.kind === "close") {
    chat.isOpen = false;
  } else if (data.kind === "forget") {
    chat.wire?.forget();
    page.identity = null;
    begin();
  }
});
const text = (value) => (typeof value === "string" && value ? value : null);

// --- beginning ---

let beginning = 0;
async function begin() {
  const mine = ++beginning;
  const wire = new Wire(org, askIdentity);
  speak(page.lang, page.pageLang, navigator.language);
  for (let tries = 0; ; tries += 1) {
    try {
      const begun = await wire.start(page.identity);
      if (mine !== beginning) return;
      chat.wire = wire;
      chat.look = begun.look;
      break;
    } catch (error) {
      if (mine !== beginning) return;
      if (error instanceof Refused && !error.passes) {
        say(error.code === "identity_wanted" ? words.signIn : error.code.endsWith("_identity") ? error.message : words.closed);
        $("composer").hidden = true;
        if (error.code === "widget_missing") return toPage({ kind: "gone" });
        return ready({ accent: "#3a5bc7", theme: "auto" });
      }
      say(words.offline);
      await Promise.race([wait(Math.min(20_000, 1000 * 2 ** tries)), once("online")]);
    }
  }
  speak(page.lang, page.pageLang, navigator.language, chat.look.language);
  Object.assign(chat, { now: null, list: [], seen: wire.recall(`seen:${wire.who}`, {}), drafts: wire.recall(`drafts:${wire.who}`, {}) });
  chat.outbox = new Outbox(wire, { sent, changed: draw });
  say(chat.outbox.hasLostFiles ? words.lost : "");
  lay();
  ready(chat.look);
  await list();
  if (mine !== beginning) return;
  const opening = chat.outbox.entries.find((entry) => entry.kind === "open")?.key;
  const last = wire.recall(`now:${wire.who}`);
  const isKnown = chat.list.some((each) => each.id === last);
  const place = opening ?? (last === "list" ? null : isKnown ? last : (chat.list.find((each) => each.state !== "ended")?.id ?? (chat.list.length ? null : "new")));
  if ($("words").value) chat.drafts[place] ??= $("words").value; // the page's words, given before there was a place for them
  $("composer").hidden = false;
  go(place);
  if (chat.isOpen && isFramed) $("words").focus();
  chat.outbox.pump();
}

function ready(look) {
  const { accent, ink } = paint(look);
  toPage({ kind: "ready", fill: accent, ink, words: { open: words.open, close: words.close, unread: words.unread, title: words.title } });
}

/** The organization's color, and what can be read on it and beside it (WCAG AA). */
function paint(look) {
  const root = document.documentElement;
  const theme = ["light", "dark"].includes(page.theme) ? page.theme : look.theme;
  if (theme === "auto") delete root.dataset.theme;
  else root.dataset.theme = theme;
  const accent = /^#[0-9a-f]{6}$/.test(look.accent) ? look.accent : "#3a5bc7";
  const ink = contrast(accent, "#ffffff") >= 4.5 || contrast(accent, "#ffffff") >= contrast(accent, "#14161a") ? "#ffffff" : "#14161a";
  const fillColor = towards(accent, ink === "#ffffff" ? "#000000" : "#ffffff", (color) => contrast(color, ink) >= 4.5);
  root.style.setProperty("--fill", fillColor);
  root.style.setProperty("--ink", ink);
  root.style.setProperty("--accent-light", towards(accent, "#000000", (color) => contrast(color, "#f1f2f4") >= 4.6));
  root.style.setProperty("--accent-dark", towards(accent, "#ffffff", (color) => contrast(color, "#2a2d33") >= 4.6));
  return { accent: fillColor, ink };
}

const channels = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
function luminance(color) {
  const [red, green, blue] = channels(color).map((each) => (each /= 255) <= 0.04045 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((left, right) => left - right);
  return (high + 0.05) / (low + 0.05);
}
function towards(color, end, isGood) {
  for (let share = 0; share <= 1; share += 0.04) {
    const mixed = "#" + channels(color).map((each, n) => Math.round(each + (channels(end)[n] - each) * share).toString(16).padStart(2, "0")).join("");
    if (isGood(mixed)) return mixed;
  }
  return end;
}

/** What does not change with a conversation. */
function lay() {
  document.title = words.title;
  $("name").textContent = chat.look.organization;
  for (const [id, said] of [["back", words.back], ["close", words.close], ["send", words.send], ["attach", words.attach]]) {
    $(id).setAttribute("aria-label", said);
    $(id).title = said;
  }
  $("words-label").textContent = words.label;
  $("words").placeholder = words.hint;
  $("person-words").textContent = words.person;
  $("log").setAttribute("aria-label", words.title);
  $("close").hidden = !isFramed;
}

function say(said) {
  $("note").textContent = said;
  $("note").hidden = !said;
}

// --- going from one to another ---

/** Show a conversation by id, by the key that will open it, a "new" one, or with null the list. */
function go(id) {
  tellWriting(false);
  chat.id = id;
  chat.now = null;
  chat.wire.keep(`now:${chat.wire.who}`, id ?? "list");
  chat.follower?.abort();
  following = null;
  $("log").replaceChildren();
  $("words").value = chat.drafts[id] ?? "";
  grow();
  draw();
  follow();
  load();
}

async function list() {
  try {
    chat.list = (await chat.wire.get("/conversations")).items;
    if (chat.id === null) chat.isLinked = true;
    draw();
  } catch (error) {
    trouble(error);
  }
}

const isReal = () => chat.id && chat.id !== "new" && !chat.outbox.entries.some((entry) => entry.key === chat.id);

let loading = null;
let again = false;
/** Read the conversation; what changes meanwhile is read once more. */
async function load() {
  if (!isReal()) return;
  if (loading) {
    again = true;
    return;
  }
  const id = chat.id;
  loading = (async () => {
    const found = await chat.wire.get(`/conversations/${id}`);
    if (chat.id !== id) return;
    chat.now = found;
    chat.isLinked = true;
    watchWriting();
    draw();
    read();
  })();
  try {
    await loading;
  } catch (error) {
    if (error.status === 404 && chat.id === id) go(null);
    else trouble(error);
  } finally {
    loading = null;
    if (again) {
      again = false;
      load();
    }
  }
}

let ending;
/** Nobody who went away writes for ever: what is not said again is looked up. */
function watchWriting() {
  clearTimeout(ending);
  if (chat.now.team_writes) ending = setTimeout(load, 22_000);
}

function trouble(error) {
  if (error.code === "other_client") begin();
  else if (error instanceof Refused && !error.passes) say(error.message);
  else {
    chat.isLinked = false;
    draw();
    setTimeout(() => (chat.id === null ? list() : load()), 4000);
  }
}

let following = null;
function follow() {
  if (!isReal() || following === chat.id) return;
  chat.follower?.abort();
  chat.follower = new AbortController();
  following = chat.id;
  const { signal } = chat.follower;
  chat.wire.follow(chat.id, {
    signal,
    changed: () => load(),
    linked: (isLinked) => {
      if (signal.aborted) return;
      chat.isLinked = isLinked;
      draw();
      if (isLinked) chat.outbox.pump();
    },
  });
}

/** What is on the screen is read; the page's button shows the rest. */
function read() {
  const said = chat.now?.messages ?? [];
  const last = said.at(-1)?.seq ?? 0;
  if (chat.isOpen && !document.hidden && chat.now) {
    chat.seen[chat.now.id] = Math.max(last, chat.seen[chat.now.id] ?? 0);
    chat.wire.keep(`seen:${chat.wire.who}`, chat.seen);
  }
  const unread = said.filter((each) => each.role !== "user" && each.seq > (chat.seen[chat.now?.id] ?? 0));
  toPage({ kind: "unread", count: chat.isOpen ? 0 : unread.length });
}
document.addEventListener("visibilitychange", () => chat.wire && (read(), load()));
addEventListener("online", () => chat.outbox?.pump());

// --- writing ---

function send(said) {
  if (chat.id === "new" || chat.id === null) return open({ text: said });
  chat.outbox.add("say", chat.id, { text: said });
}

function open(body) {
  const entry = { ...body, page: page.address.slice(0, 500) };
  const made = chat.outbox.add("open", null, entry);
  delete chat.drafts[chat.id];
  go(made.key);
  return made.key;
}

function sent(entry, made) {
  if (entry.kind === "open") {
    if (chat.id === entry.key) {
      chat.id = made.id;
      chat.now = made;
      chat.wire.keep(`now:${chat.wire.who}`, made.id);
      follow();
    }
    list();
  } else if (chat.now?.id === entry.to && entry.kind !== "file") {
    if (!chat.now.messages.some((each) => each.id === made.id)) chat.now.messages.push(made);
    chat.now.may_rate = false;
    chat.now.may_answer = [];
    if (chat.now.state !== "with_person") chat.now.state = "thinking";
    load();
  } else load();
  draw();
}

function attach(files) {
  const limit = chat.look.max_file_bytes;
  for (const file of files) {
    if (file.size > limit) {
      say(fill(words.tooLarge, { name: file.name, size: Math.floor(limit / 1024 / 1024) }));
      continue;
    }
    if (chat.id === "new" || chat.id === null) open({ text: $("words").value.trim() || words.attached }), write("");
    chat.outbox.add("file", chat.id, { name: file.name, size: file.size }, file);
  }
  draw();
}

async function download(file, button) {
  button.disabled = true;
  try {
    const blob = await chat.wire.call(`/conversations/${chat.now.id}/files/${file.id}`, { raw: true });
    const url = URL.createObjectURL(blob);
    make("a", { href: url, download: file.name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  } catch (error) {
    trouble(error);
  } finally {
    button.disabled = false;
  }
}

function askPerson() {
  if (chat.id === "new" || chat.id === null) open({ text: $("words").value.trim() || words.personOpens, wants_person: true }), write("");
  else chat.outbox.add("person", chat.id, { language });
}

function write(said) {
  $("words").value = said;
  noted();
  grow();
}

function noted() {
  const said = $("words").value;
  if (said) chat.drafts[chat.id] = said;
  else delete chat.drafts[chat.id];
  chat.wire?.keep(`drafts:${chat.wire.who}`, Object.keys(chat.drafts).length ? chat.drafts : null);
}

const telling = { to: null, at: 0 };
/** The team learns that the client writes, never what; only while a person has it. */
function tellWriting(isWriting) {
  if (isWriting && (chat.now?.state !== "with_person" || (telling.to === chat.id && Date.now() - telling.at < 10_000))) return;
  if (!isWriting && telling.to === null) return;
  const to = isWriting ? chat.id : telling.to;
  Object.assign(telling, { to: isWriting ? to : null, at: Date.now() });
  chat.wire.call(`/conversations/${to}/writing`, { body: { is_writing: isWriting }, raw: true }).catch(() => {}); // nobody is worse off
}

function grow() {
  const field = $("words");
  field.rows = Math.min(6, Math.max(1, field.value.split("\n").length, Math.ceil(field.value.length / 42)));
}

// --- drawing ---

function draw() {
  if (!chat.outbox) return;
  const isList = chat.id === null;
  const isNew = chat.id === "new";
  document.body.dataset.view = isList ? "list" : "chat";
  $("back").hidden = isList || !chat.list.length;
  $("list").hidden = !isList;
  $("log").hidden = isList;
  const state = chat.now?.state;
  $("state").textContent = state && state !== "thinking" ? words[state] : "";
  const isWritten = chat.now?.team_writes && state !== "ended";
  $("typing").hidden = !(isWritten || state === "thinking") || isList || !chat.isLinked;
  $("typing-words").textContent = $("typing").hidden ? "" : isWritten ? fill(words.writes, { org: chat.look.organization }) : words.thinking;
  $("person").hidden = !isList && state === "with_person";
  const line = !chat.isLinked || chat.outbox.state === "offline" ? words.offline : chat.outbox.state === "busy" ? words.busy : "";
  if ($("line").textContent !== line) $("line").textContent = line;
  $("line").hidden = !line;
  $("welcome").hidden = !(isNew || isList);
  if (isNew || isList) welcome();
  if (isList) drawList();
  else drawLog();
}

function welcome() {
  const greeting = chat.look.greetings[language] || chat.look.greetings.en;
  $("hello").textContent = greeting || words.hello;
  $("lead").textContent = greeting ? "" : words.lead;
  const help = $("help");
  help.hidden = !chat.look.help;
  if (chat.look.help) {
    help.href = chat.look.help;
    help.textContent = words.help;
    help.setAttribute("aria-label", `${words.help} (${words.newTab})`);
  }
}

function drawList() {
  const rows = chat.list.map((each) =>
    make("li", {}, make("button", { class: `row ${each.state}`, onclick: () => { go(each.id); $("words").focus(); } },
      make("span", { class: "row-title", dir: "auto" }, each.title || fill(words.number, { n: each.number })),
      make("span", { class: "row-last", dir: "auto" }, (each.last?.role === "user" ? `${words.you}: ` : "") + (each.last?.text ?? "").replace(/[*_`#]+/g, "")),
      make("time", { datetime: each.updated_at }, moment(each.updated_at)))),
  );
  $("list").replaceChildren(
    make("h2", {}, words.history),
    rows.length ? make("ul", {}, ...rows) : make("p", { class: "muted" }, words.empty),
  );
}

const moment = (at, isExact = false) => {
  const time = new Date(at);
  const isToday = time.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(language, isExact || isToday ? { hour: "2-digit", minute: "2-digit", ...(isToday ? {} : { day: "numeric", month: "short" }) } : { day: "numeric", month: "short" }).format(time);
};

/** Bring the log to what is known: every entry has a key and a mark; only what differs is made anew. */
function drawLog() {
  const now = chat.now;
  const known = [];
  if (now) {
    const entries = [...now.messages.map((each) => ({ at: each.timestamp, message: each })), ...now.files.map((each) => ({ at: each.created_at, file: each }))];
    entries.sort((left, right) => left.at.localeCompare(right.at));
    const last = now.messages.at(-1);
    for (const { message, file } of entries) {
      if (file) known.push({ key: file.id, mark: "file", build: () => drawFile(file) });
      else {
        const isOpen = message === last && !chat.outbox.of(now.id).length;
        const mayRate = now.may_rate && isOpen;
        const answers = isOpen ? now.may_answer : [];
        known.push({ key: message.id, mark: `${message.content.length}${mayRate}${answers}`, build: () => drawMessage(message, mayRate, answers) });
      }
    }
  }
  for (const entry of chat.outbox.of(chat.id)) known.push({ key: entry.key, mark: JSON.stringify(entry.failed ?? chat.outbox.state), build: () => drawPending(entry) });
  const log = $("log");
  const isAtEnd = log.parentElement.scrollHeight - log.parentElement.scrollTop - log.parentElement.clientHeight < 80;
  const there = new Map([...log.children].map((node) => [node.dataset.key, node]));
  let before = null;
  let isNew = false;
  for (const { key, mark, build } of known) {
    let node = there.get(key);
    if (node?.dataset.mark !== mark) {
      const made = build();
      Object.assign(made.dataset, { key, mark });
      if (node) node.replaceWith(made);
      else isNew = true;
      node = made;
    }
    there.delete(key);
    const place = before ? before.nextSibling : log.firstChild;
    if (place !== node) log.insertBefore(node, place);
    before = node;
  }
  for (const gone of there.values()) gone.remove();
  if (isNew && (isAtEnd || known.at(-1)?.key in Object.fromEntries(chat.outbox.entries.map((each) => [each.key, 1])))) scroll();
}

const scroll = () => requestAnimationFrame(() => { $("body").scrollTop = $("body").scrollHeight; });

function drawMessage(message, mayRate, answers) {
  const isOwn = message.role === "user";
  const who = isOwn ? words.you : message.role === "agent" ? fill(words.team, { org: chat.look.organization }) : words.assistant;
  const isMarkdown = message.role === "assistant" || message.role === "system";
  const ticks = message.steps.length ? ticking(message) : null;
  const counter = message.steps.length ? make("p", { class: "counter" }) : null;
  const bubble = make("div", { class: "bubble", dir: "auto" }, ...(isMarkdown ? markdown(message.content, ticks && ((n, nodes) => ticks(n, nodes, counter))) : [make("p", {}, ...plainText(message.content))]));
  if (counter) {
    bubble.append(counter);
    count(counter, message);
  }
  if (message.citations.length) bubble.append(drawSources(message));
  const article = make("article", { class: `said ${isOwn ? "own" : message.role}` },
    make("header", {}, make("span", { class: "who" }, who), make("time", { datetime: message.timestamp }, moment(message.timestamp, true))), bubble);
  if (mayRate) article.append(drawRating());
  if (answers.length) article.append(drawAnswers(answers));
  return article;
}

/** Checkboxes before an answer's numbered steps; what is ticked stays in this browser. */
function ticking(message) {
  const shelf = `ticks:${message.id}`;
  return (n, nodes, counter) => {
    const done = chat.wire.recall(shelf, []);
    const box = make("input", {
      type: "checkbox", checked: done.includes(n),
      onchange: (event) => {
        const rest = chat.wire.recall(shelf, []).filter((each) => each !== n);
        chat.wire.keep(shelf, event.target.checked ? [...rest, n] : rest);
        count(counter, message);
      },
    });
    return [make("label", {}, box, make("span", {}, ...nodes))];
  };
}

function count(counter, message) {
  counter.textContent = fill(words.steps, { n: chat.wire.recall(`ticks:${message.id}`, []).length, all: message.steps.length });
}

function drawSources(message) {
  const items = message.citations.map((each) => {
    const title = each.heading && each.heading !== each.title ? `${each.title} › ${each.heading}` : each.title;
    const name = each.url ? make("a", { href: each.url, target: "_blank", rel: "noopener", "aria-label": `${title} (${words.newTab})` }, title) : make("span", {}, title);
    return make("li", {}, name, each.quote ? make("q", { dir: "auto" }, each.quote.replace(/[*_`#]+/g, "")) : null);
  });
  return make("details", { class: "sources" }, make("summary", {}, `${words.sources} (${items.length})`), make("ol", {}, ...items));
}

function drawRating() {
  const rate = (helped) => {
    chat.outbox.add("rating", chat.now.id, { helped, language });
    $("words").focus();
  };
  return make("div", { class: "rating", role: "group", "aria-label": words.helped }, make("span", {}, words.helped),
    make("button", { type: "button", onclick: () => rate(true) }, words.yes), make("button", { type: "button", onclick: () => rate(false) }, words.no));
}

/** What answers the question in a word; the client may still write instead. */
function drawAnswers(answers) {
  const say = (word) => {
    send(words[word]);
    $("words").focus();
  };
  return make("div", { class: "rating", role: "group", "aria-label": words.answer }, make("span", {}, words.answer),
    ...answers.map((word) => make("button", { type: "button", onclick: () => say(word) }, words[word])));
}

function drawFile(file) {
  const button = make("button", { type: "button", class: "file" }, icon(ICONS.down), make("span", { class: "sr" }, words.download), " ",
    make("span", { dir: "auto" }, file.name), " ", make("small", {}, size(file.size)));
  button.addEventListener("click", () => download(file, button));
  return make("article", { class: `said ${file.is_own ? "own" : "agent"}` }, button);
}

const size = (bytes) => (bytes < 1024 * 1024 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${(bytes / 1024 / 1024).toFixed(1)} MB`);

function drawPending(entry) {
  const said = { rating: () => (entry.body.helped ? words.yes : words.no), person: () => words.personOpens, file: () => fill(words.file, { name: entry.body.name }) }[entry.kind]?.() ?? entry.body.text;
  const status = entry.failed ? fill(words.failed, { why: entry.failed.why }) : chat.outbox.state === "offline" ? words.unsent : words.sending;
  const article = make("article", { class: `said own pending${entry.failed ? " failed" : ""}` }, make("div", { class: "bubble", dir: "auto" }, make("p", {}, ...plainText(said))),
    make("p", { class: "fate", role: entry.failed ? "alert" : null }, status));
  if (!entry.failed) return article;
  const acts = make("div", { class: "rating" }, make("button", { type: "button", onclick: () => chat.outbox.retry(entry.key) }, words.again),
    make("button", { type: "button", onclick: () => { chat.outbox.drop(entry.key); if (chat.id === entry.key) go("new"); } }, words.drop));
  if (entry.failed.code === "reopen_window_passed" || entry.failed.code === "ticket_merged") {
    acts.prepend(make("button", { type: "button", onclick: () => { chat.outbox.drop(entry.key); open({ text: entry.body.text ?? words.personOpens }); } }, words.fresh));
  }
  article.append(acts);
  return article;
}

// --- hands and keys ---

$("back").append(icon(ICONS.back));
$("close").append(icon(ICONS.close));
$("send").append(icon(ICONS.send));
$("attach").append(icon(ICONS.file));
$("person").prepend(icon(ICONS.person));
$("back").addEventListener("click", () => { go(null); list(); });
$("close").addEventListener("click", () => toPage({ kind: "close" }));
$("person").addEventListener("click", () => { askPerson(); $("words").focus(); });
$("attach").addEventListener("click", () => $("files").click());
$("files").addEventListener("change", (event) => { attach([...event.target.files]); event.target.value = ""; $("words").focus(); });
$("words").addEventListener("input", () => { noted(); grow(); tellWriting(Boolean($("words").value.trim())); });
$("words").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});
$("words").addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) {
    event.preventDefault();
    attach([...event.clipboardData.files]);
  }
});
$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = $("words").value.trim();
  if (!said || !chat.outbox) return;
  write("");
  tellWriting(false);
  send(said);
  scroll();
});
addEventListener("keydown", (event) => { if (event.key === "Escape") toPage({ kind: "close" }); });

if (isFramed) toPage({ kind: "hello" });
else begin();

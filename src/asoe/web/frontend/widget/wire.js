// Speaks with the API: who we are, what was not sent yet, and the stream that says that something changed. What is not sent
// survives a reload and is sent once, by its Idempotency-Key; a stream that broke goes on where it was.
class Refused extends Error {
  constructor(status, problem, wait) {
    super(problem.detail ?? "");
    Object.assign(this, { status, code: problem.code ?? "", wait });
  }
  /** Whether it may be sent again as it is. */
  get passes() {
    return this.status === 429 || this.status >= 500 || this.code === "idempotency_in_progress";
  }
}

/** Also where there is no secure context. */
const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
const wait = (ms) => new Promise((go) => setTimeout(go, ms));

class Wire {
  constructor(org, askIdentity) {
    this.base = `/api/widget/${encodeURIComponent(org)}`;
    this.askIdentity = askIdentity;
    this.shelf = `asoe:${org}`;
    this.token = "";
  }

  /** Begin as whoever the page says; the visitor's key is kept in this browser. */
  async start(identity) {
    const begun = await this.#ask("/start", { body: { identity, visitor: identity ? null : this.recall("visitor") }, isOpen: true });
    this.token = begun.token;
    this.who = begun.client;
    if (begun.visitor) this.keep("visitor", begun.visitor);
    return begun;
  }

  get(path) {
    return this.call(path);
  }

  /** A call with our token; one that is no longer good is made anew, once. */
  async call(path, options = {}) {
    for (let isSecond = false; ; isSecond = true) {
      try {
        return await this.#ask(path, options);
      } catch (error) {
        if (error.status !== 401 || isSecond) throw error;
        const before = this.who;
        const begun = await this.start(await this.askIdentity());
        if (begun.client !== before) throw new Refused(401, { code: "other_client" });
      }
    }
  }

  async #ask(path, { body, form, key, isOpen = false, raw = false, headers = {} } = {}) {
    const sent = { ...headers };
    if (!isOpen) sent.Authorization = `Bearer ${this.token}`;
    if (key) sent["Idempotency-Key"] = key;
    if (body) sent["Content-Type"] = "application/json";
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), form ? 300_000 : 30_000);
    try {
      const answer = await fetch(this.base + path, {
        method: body || form ? "POST" : "GET", headers: sent, body: form ?? (body && JSON.stringify(body)), credentials: "omit", signal: stop.signal,
      });
      if (!answer.ok) {
        const problem = await answer.json().catch(() => ({}));
        throw new Refused(answer.status, problem, Number(answer.headers.get("Retry-After")) || 0);
      }
      return raw ? await answer.blob() : await answer.json();
    } finally {
      clearTimeout(timer);
    }
  }

  /** Follow a conversation until `signal`; `changed` on every change and after every break, `linked` with how the line is. */
  async follow(id, { signal, changed, linked }) {
    let last = "";
    for (let tries = 0; !signal.aborted; tries += 1) {
      const watch = new AbortController();
      const stop = () => watch.abort();
      signal.addEventListener("abort", stop);
      let timer;
      const alive = () => {
        clearTimeout(timer);
        timer = setTimeout(stop, 40_000);
      };
      try {
        alive();
        const headers = { Authorization: `Bearer ${this.token}`, ...(last ? { "Last-Event-ID": last } : {}) };
        const answer = await fetch(`${this.base}/conversations/${id}/events`, { headers, credentials: "omit", cache: "no-store", signal: watch.signal });
        if (answer.status === 401) await this.call("/conversations");
        if (!answer.ok) throw new Refused(answer.status, {}, 0);
        linked(true);
        changed();
        let rest = "";
        for await (const chunk of chunks(answer.body)) {
          alive();
          tries = 0;
          const lines = (rest + chunk).split("\n");
          rest = lines.pop();
          for (const line of lines) {
            if (line.startsWith("id: ")) last = line.slice(4);
            else if (line.startsWith("data: ") && last) changed();
          }
        }
      } catch (error) {
        if (error.status === 404 || error.status === 403) return;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", stop);
      }
      if (signal.aborted) return;
      linked(false);
      await Promise.race([wait(Math.min(15_000, 500 * 2 ** tries) * (0.7 + Math.random() * 0.6)), once("online"), once("abort", signal)]);
    }
  }

  recall(name, fallback = null) {
    try {
      return JSON.parse(localStorage.getItem(`${this.shelf}:${name}`)) ?? fallback;
    } catch {
      return fallback;
    }
  }

  keep(name, value) {
    try {
      if (value === null) localStorage.removeItem(`${this.shelf}:${name}`);
      else localStorage.setItem(`${this.shelf}:${name}`, JSON.stringify(value));
    } catch {
      // no storage here, or no room: it lasts as long as the page
    }
  }

  forget() {
    try {
      for (const name of Object.keys(localStorage)) if (name.startsWith(`${this.shelf}:`)) localStorage.removeItem(name);
    } catch {
      // as above
    }
  }
}

async function* chunks(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
}

const once = (name, target = window) => new Promise((go) => target.addEventListener(name, go, { once: true }));

/** What is still to be sent, in order. An entry is {key, kind, to, body}; `to` is a conversation, or the key that opens it. */
class Outbox {
  constructor(wire, { sent, changed }) {
    Object.assign(this, { wire, sent, changed, files: new Map(), isBusy: false, state: "" });
    const kept = wire.recall(`outbox:${wire.who}`, []);
    this.entries = kept.filter((entry) => entry.kind !== "file");
    this.hasLostFiles = this.entries.length < kept.length;
    this.known = new Set(kept.map((entry) => entry.key));
  }

  of(to) {
    return this.entries.filter((entry) => entry.to === to || entry.key === to);
  }

  add(kind, to, body, file = null) {
    const entry = { key: newKey(), kind, to, body };
    if (file) this.files.set(entry.key, file);
    this.known.add(entry.key);
    this.entries.push(entry);
    this.#store();
    this.pump();
    return entry;
  }

  retry(key) {
    const entry = this.entries.find((each) => each.key === key);
    if (entry) delete entry.failed;
    this.#store();
    this.pump();
  }

  drop(key) {
    this.entries = this.entries.filter((entry) => entry.key !== key && entry.to !== key);
    this.#store();
  }

  async pump() {
    if (this.isBusy) return;
    this.isBusy = true;
    for (let tries = 0, entry; (entry = this.entries.find((each) => !each.failed && !this.#waits(each))); ) {
      try {
        const made = await this.#send(entry);
        tries = 0;
        this.state = "";
        this.entries = this.entries.filter((each) => each !== entry);
        if (entry.kind === "open") for (const each of this.entries) if (each.to === entry.key) each.to = made.id;
        this.files.delete(entry.key);
        this.#store();
        this.sent(entry, made);
      } catch (error) {
        if (error instanceof Refused && !error.passes) {
          entry.failed = { why: error.message, code: error.code };
          this.#store();
          continue;
        }
        this.state = error.status === 429 ? "busy" : "offline";
        this.changed();
        tries += 1;
        await Promise.race([wait(error.wait ? error.wait * 1000 : Math.min(20_000, 500 * 2 ** tries)), once("online")]);
      }
    }
    this.isBusy = false;
  }

  /** Whether what it belongs to could not be opened. */
  #waits(entry) {
    return this.entries.some((each) => each.key === entry.to);
  }

  #send(entry) {
    const one = `/conversations/${entry.to}`;
    const options = { key: entry.key, body: entry.body };
    if (entry.kind === "open") return this.wire.call("/conversations", options);
    if (entry.kind === "say") return this.wire.call(`${one}/messages`, options);
    if (entry.kind === "file") {
      const form = new FormData();
      form.append("file", this.files.get(entry.key), entry.body.name);
      return this.wire.call(`${one}/files`, { key: entry.key, form });
    }
    return this.wire.call(`${one}/${entry.kind}`, options);
  }

  #store() {
    const others = this.wire.recall(`outbox:${this.wire.who}`, []).filter((entry) => !this.known.has(entry.key)); // of another tab
    this.wire.keep(`outbox:${this.wire.who}`, others.length + this.entries.length ? [...others, ...this.entries] : null);
    this.changed();
  }
}

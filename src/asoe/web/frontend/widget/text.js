// Builds elements. Words of others only ever become text nodes: there is no innerHTML here, and the page's policy forbids it.
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

const INLINE = /(`+)([^`\n]+)\1|\*\*([^*\n]+)\*\*|\*([^*\s][^*\n]*)\*|(?<!\w)_([^_\n]+)_(?!\w)|\[([^[\]\n]{1,300})\]\(([^()\s]{1,2000})\)|\[(\d{1,2})\]|(https?:\/\/[^\s<>"'`)\]]{1,2000})/g;
const DEEPEST = 4;

/** An address that may be followed from here, or null. */
function safeAddress(text) {
  try {
    const url = new URL(text);
    return ["https:", "http:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

function link(address, ...children) {
  const to = safeAddress(address);
  if (to === null) return make("span", {}, ...children);
  return make("a", { href: to, target: "_blank", rel: "noopener noreferrer nofollow" }, ...children);
}

/** One line of Markdown as nodes. */
function inline(text, depth = 0) {
  if (depth > DEEPEST) return [text];
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(INLINE)) {
    const [whole, , code, strong, star, under, label, address, mark, bare] = found;
    if (found.index > at) nodes.push(text.slice(at, found.index));
    at = found.index + whole.length;
    if (code !== undefined) nodes.push(make("code", {}, code));
    else if (strong !== undefined) nodes.push(make("strong", {}, ...inline(strong, depth + 1)));
    else if (star !== undefined) nodes.push(make("em", {}, ...inline(star, depth + 1)));
    else if (under !== undefined) nodes.push(make("em", {}, ...inline(under, depth + 1)));
    else if (label !== undefined) nodes.push(link(address, ...inline(label, depth + 1)));
    else if (mark !== undefined) nodes.push(make("sup", { class: "mark" }, mark));
    else nodes.push(plainLink(bare));
  }
  if (at < text.length) nodes.push(text.slice(at));
  return nodes;
}

function plainLink(text) {
  const end = text.search(/[.,;:!?]+$/);
  const address = end > 0 ? text.slice(0, end) : text;
  return end > 0 ? make("span", {}, link(address, address), text.slice(end)) : link(address, address);
}

/** Markdown as elements; `tick` makes what stands before a numbered step, given its place. */
function markdown(text, tick = null) {
  const blocks = [];
  const lines = text.split("\n");
  let step = 0;
  for (let at = 0; at < lines.length; ) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
    } else if (/^\s*```/.test(line)) {
      const end = lines.findIndex((each, n) => n > at && /^\s*```/.test(each));
      const until = end < 0 ? lines.length : end;
      blocks.push(make("pre", { tabindex: "0" }, make("code", {}, lines.slice(at + 1, until).join("\n"))));
      at = until + 1;
    } else if (/^#{1,6}\s/.test(line)) {
      blocks.push(make("p", { class: "heading" }, ...inline(line.replace(/^#+\s+/, ""))));
      at += 1;
    } else if (LIST.test(line)) {
      const isNumbered = /^\s*\d/.test(line);
      const items = [];
      for (; at < lines.length && (LIST.test(lines[at]) || (/^\s+\S/.test(lines[at]) && items.length)); at += 1) {
        const item = LIST.exec(lines[at]);
        if (item && /^\s*\d/.test(lines[at]) !== isNumbered) break;
        if (item) items.push(item[1]);
        else items[items.length - 1] += ` ${lines[at].trim()}`;
      }
      const ticks = isNumbered && tick;
      blocks.push(
        make(
          isNumbered ? "ol" : "ul",
          { class: ticks ? "steps" : null, start: isNumbered && !ticks && step ? step + 1 : null },
          ...items.map((item) => make("li", {}, ...(ticks ? tick(step++, inline(item)) : inline(item)))),
        ),
      );
    } else {
      const paragraph = [];
      for (; at < lines.length && lines[at].trim() && !LIST.test(lines[at]) && !/^\s*```|^#{1,6}\s/.test(lines[at]); at += 1) paragraph.push(lines[at]);
      const nodes = paragraph.flatMap((each, n) => [...(n ? [make("br")] : []), ...inline(each.replace(/^>\s?/, ""))]);
      blocks.push(make(paragraph[0].startsWith(">") ? "blockquote" : "p", {}, ...nodes));
    }
  }
  return blocks;
}
const LIST = /^\s{0,6}(?:[-*+•]|\d{1,3}[.)])\s+(.*)$/;

/** What somebody wrote, as written; addresses in it can be followed. */
function plainText(text) {
  return text.split("\n").flatMap((line, n) => {
    const parts = [];
    let at = 0;
    for (const found of line.matchAll(/https?:\/\/[^\s<>"'`)\]]{1,2000}/g)) {
      parts.push(line.slice(at, found.index), plainLink(found[0]));
      at = found.index + found[0].length;
    }
    return [...(n ? [make("br")] : []), ...parts, line.slice(at)];
  });
}

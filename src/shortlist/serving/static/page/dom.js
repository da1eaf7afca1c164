// Elements and words. Text only ever becomes text nodes: nothing here parses HTML.

import { heldFocus } from "./focus.js";

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("a.button", {href: "#/"}, "text", child)`; `on…` are listeners, null and false are left out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const made = document.createElement(tag || "div");
  if (classes.length) made.className = classes.join(" ");
  return fill(made, attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made && ["value", "checked", "disabled", "selected"].includes(name)) made[name] = value;
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Put children in the place of those that are there; the focus stays. */
export function show(place, ...children) {
  const focus = heldFocus(place);
  place.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  focus();
  return place;
}

/** The same for what only tells figures, again and again: elements stay, their texts and attributes change. */
export function renew(place, ...children) {
  alike(place, h("div", {}, ...children));
  return place;
}

function alike(old, next) {
  const before = [...old.childNodes], after = [...next.childNodes];
  before.slice(after.length).forEach((node) => node.remove());
  after.forEach((node, at) => {
    const now = before[at];
    if (!now) old.append(node);
    else if (now.isEqualNode(node)) return;
    else if (now.nodeName !== node.nodeName) now.replaceWith(node);
    else if (now.nodeType === Node.TEXT_NODE) now.data = node.data;
    else {
      for (const { name } of [...now.attributes]) if (!node.hasAttribute(name)) now.removeAttribute(name);
      for (const { name, value } of node.attributes) now.setAttribute(name, value);
      alike(now, node);
    }
  });
}

/** Say something to screen readers. */
export function announce(text) {
  document.getElementById("status").textContent = text;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function count(n, one, many = `${one}s`) {
  return `${whole.format(n)} ${n === 1 ? one : many}`;
}

export function integer(n) {
  return whole.format(n);
}

/** A number with about so many digits that tell. */
export function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1000) return whole.format(value);
  if (size < 0.00005) return value.toExponential(1).replaceAll("-", "−");
  const places = Math.max(0, Math.min(4, digits - 1 - Math.floor(Math.log10(size))));
  return value.toFixed(places).replace("-", "−");
}

export function signed(value) {
  return `${value > 0 ? "+" : ""}${number(value)}`;
}

export function percent(share) {
  return share === null || share === undefined || Number.isNaN(share) ? "–" : `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
}

export function ordinal(n) {
  const last = n % 10, teen = Math.floor((n % 100) / 10) === 1;
  return `${whole.format(n)}${teen ? "th" : last === 1 ? "st" : last === 2 ? "nd" : last === 3 ? "rd" : "th"}`;
}

export function day(seconds) {
  return new Date(Number(seconds) * 1000).toLocaleDateString("en-GB", { year: "numeric", month: "short", day: "numeric" });
}

/** Call at most once per pause, with the latest arguments. */
export function later(call, pause = 200) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => call(...given), pause);
  };
}

/** Call at once, but then not again before a pause is over, with the latest arguments: for what follows a movement. */
export function paced(call, pause) {
  let timer = 0, next = null;
  const go = (given) => { call(...given); timer = setTimeout(over, pause); };
  const over = () => { timer = 0; if (next) { const given = next; next = null; go(given); } };
  return (...given) => { if (timer) next = given; else go(given); };
}

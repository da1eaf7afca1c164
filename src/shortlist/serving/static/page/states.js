// Loading, slow, empty and failed: how each looks, in one place.

import { h, show } from "./dom.js";

const WORDS = {
  unauthorized: ["A key is needed", "This server answers only with a valid API key."],
  forbidden: ["This key may not do that", null],
  "too-many-requests": ["Too many requests", "The rate of this key is used up."],
  overloaded: ["The server is busy", "It answers as many requests as it can."],
  "store-unavailable": ["Events cannot be stored now", "The store of events does not answer; recommendations go on without it."],
};

export function skeleton(rows = 6) {
  return h("div.skeleton", { "aria-hidden": "true" }, Array.from({ length: rows }, () => h("span")));
}

/** Grey lines where something will be, with a word for screen readers. */
export function loading(what, rows = 6) {
  return h("div.loading", {}, h("p.hidden", {}, `Loading ${what} …`), skeleton(rows));
}

export function empty(title, text, ...more) {
  return h("div.state", {}, h("h2", {}, title), h("p", {}, text), more);
}

/** A failure in words, with a way on: again at once, or by itself after Retry-After. */
export function failed(problem, again) {
  const [title, text] = WORDS[problem.kind] ?? [problem.title, null];
  const said = text ?? problem.detail ?? "";
  const box = h("div.state.failed", { role: "alert" }, h("h2", {}, title), h("p", {}, said));
  if (problem.detail && problem.detail !== said && problem.kind !== "unauthorized") box.append(h("p.quiet", {}, problem.detail));
  const wait = problem.retryAfter || (problem.kind === "unreachable" ? 3 : 0);
  const button = h("button", { type: "button", onclick: () => again() }, problem.kind === "unauthorized" ? "Give a key" : "Try again");
  box.append(h("p.buttons", {}, button, wait ? countdown(wait, box, again) : null));
  return box;
}

function countdown(seconds, box, again) {
  const text = h("span.quiet", { "aria-hidden": "true" });
  let left = seconds;
  const tick = () => {
    if (!box.isConnected && left < seconds) return;
    show(text, `again by itself in ${left} s`);
    if (left <= 0) { again(); return; }
    left -= 1;
    setTimeout(tick, 1000);
  };
  tick();
  return text;
}

export function note(kind, ...text) {
  return h(`p.note.${kind}`, {}, ...text);
}

// How somebody says that they like an item: stars where the log has ratings, one button where it has none.

import { h } from "./dom.js";

/** The values that stars stand for: 1 to the highest rating, or five spread over a wide range. */
export function steps(ratings) {
  if (!ratings) return [];
  const low = Math.ceil(ratings.low), high = Math.floor(ratings.high);
  if (high - low < 10 && high >= 2 && high <= 10) return Array.from({ length: high }, (_, at) => at + 1).filter((value) => value >= Math.min(1, low));
  return [0, 1, 2, 3, 4].map((step) => Number((ratings.low + (step * (ratings.high - ratings.low)) / 4).toPrecision(3)));
}

/** What a click does, once: the second click of a double one would hit the item that has come in this one's place. */
function once(act) {
  return (event) => { if (event.detail < 2) act(); };
}

/** So does a key that is held down. */
function unrepeated(event) {
  if (event.repeat && (event.key === "Enter" || event.key === " ")) event.preventDefault();
}

/** A control to rate an item; `rated` is called with the value, `undefined` where there are no ratings. */
export function rater(title, told, rated, value = null) {
  const values = steps(told.ratings);
  if (!values.length) return h("button.small", { type: "button", "aria-label": `Add ${title} to the history`, onkeydown: unrepeated, onclick: once(() => rated(null)) }, "+ Add");
  const buttons = values.map((one, at) => h("button", {
    type: "button", tabindex: at === 0 ? "0" : "-1", class: value !== null && one <= value ? "on" : null,
    "aria-label": `${one} of ${values.at(-1)}`, "aria-pressed": value === one ? "true" : "false", onclick: once(() => rated(one)),
  }, "★"));
  const group = h("span.stars", { role: "group", "aria-label": `Rate ${title}`, onkeydown: move, onmouseover: light, onmouseleave: dark }, buttons);
  function move(event) {
    unrepeated(event);
    const at = buttons.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step || at < 0) return;
    event.preventDefault();
    const next = buttons[Math.max(0, Math.min(buttons.length - 1, at + step))];
    buttons.forEach((button) => { button.tabIndex = button === next ? 0 : -1; });
    next.focus();
    light({ target: next });
  }
  function light(event) {
    const at = buttons.indexOf(event.target);
    buttons.forEach((button, place) => button.classList.toggle("lit", place <= at));
  }
  function dark() { buttons.forEach((button) => button.classList.remove("lit")); }
  group.addEventListener("focusout", dark);
  return group;
}

/** A rating that was given, to look at. */
export function given(value, ratings) {
  if (value === null || value === undefined || !ratings) return null;
  const high = ratings.high;
  if (high > 5) return h("span.given", {}, `${Number(value.toFixed(1))}/${high}`);
  return h("span.given", { role: "img", "aria-label": `rated ${value} of ${high}` }, "★".repeat(Math.round(value)), h("span.off", {}, "★".repeat(Math.max(0, high - Math.round(value)))));
}

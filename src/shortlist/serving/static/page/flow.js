// The picture of the two stages: retrieval's order on the left, the final order on the right, a line for each item.

import { factsOf, itemLink, titleOf } from "./data.js";
import { h, integer, number, ordinal, show, svg } from "./dom.js";
import { named } from "./stages.js";

const LINE_PX = 23;  // from the top of a row to the middle of its first line

/** Where each item of the left list goes in the right one.
 *  `left`: [{item_id, place, fate}], `right`: elements by id. Drawn anew whenever anything changes its size. */
export function slope(left, right) {
  const picture = svg("svg", { class: "slope", "aria-hidden": "true", focusable: "false" });
  function draw() {
    const frame = picture.getBoundingClientRect();
    if (!frame.height) return;
    const middle = (element) => element.getBoundingClientRect().top + LINE_PX - frame.top;
    const lines = [];
    for (const [id, from] of left) {
      const to = right.get(id);
      const y = middle(from.element);
      if (!to) continue;
      const end = middle(to.element), w = frame.width;
      const kind = to.rank < from.rank ? "up" : to.rank > from.rank ? "down" : "level";
      lines.push(svg("path", { d: `M0 ${y}C${w * 0.5} ${y} ${w * 0.5} ${end} ${w - 5} ${end}`, class: kind, "data-id": id }));
      lines.push(svg("circle", { cx: w - 4, cy: end, r: 3, class: kind, "data-id": id }));
    }
    picture.setAttribute("viewBox", `0 0 ${frame.width} ${frame.height}`);
    show(picture, lines);
  }
  const watch = new ResizeObserver(() => draw());
  const light = (id) => {
    for (const one of picture.children) one.classList.toggle("lit", one.dataset.id === id);
    for (const { element } of left.values()) element.classList.toggle("lit", element.dataset.id === id);
  };
  for (const { element } of [...left.values(), ...right.values()]) {
    element.addEventListener("mouseenter", () => light(element.dataset.id));
    element.addEventListener("mouseleave", () => light(""));
    element.addEventListener("focusin", () => light(element.dataset.id));
    element.addEventListener("focusout", () => light(""));
    watch.observe(element);
  }
  watch.observe(picture);
  return picture;
}

/** Which sources proposed an item, as one dot per source, filled where it did. */
export function dots(item, told) {
  const by = item.sources.map(named).join(", ") || "no source";
  return h("span.dots", { role: "img", "aria-label": `proposed by ${by}`, title: `proposed by ${by}` },
    told.sources.map((source, at) => h(`span.dot.s${at}${item.sources.includes(source) ? "" : ".out"}`)));
}

/** How an item moved between the stages, in words. */
export function moved(item) {
  const place = item.retrieval_rank;
  if (!place) return h("span.move", {}, "put in by a rule");
  if (place === item.rank) return h("span.move.level", {}, "same place");
  const up = item.rank < place;
  return h(`span.move.${up ? "up" : "down"}`, {}, h("span", { "aria-hidden": "true" }, up ? "▲ " : "▼ "), h("span.hidden", {}, up ? "up " : "down "), `from ${ordinal(place)}`);
}

/** The items on the left: retrieval's first k, and those further down that came into the list. */
export function retrieved(pool, items, k) {
  const final = new Map(items.map((item) => [String(item.item_id), item]));
  const listed = pool.filter((item) => item.retrieval_rank <= k || final.has(String(item.item_id)));
  const have = new Set(listed.map((item) => String(item.item_id)));
  const more = items.filter((item) => item.retrieval_rank && !have.has(String(item.item_id)));
  const all = [...listed, ...more].sort((a, b) => a.retrieval_rank - b.retrieval_rank);
  const elements = new Map();
  const rows = all.map((item, at) => {
    const id = String(item.item_id), to = final.get(id);
    const gap = item.retrieval_rank > k && (at === 0 || item.retrieval_rank - all[at - 1].retrieval_rank > 1 || all[at - 1].retrieval_rank <= k);
    const fate = to ? null : item.score === null ? "below" : ordinal(item.rank);
    const element = h("li", { "data-id": id, class: [to ? "stays" : "goes", gap ? "gap" : ""].join(" ") },
      h("span.place", {}, h("span.hidden", {}, "Retrieved "), integer(item.retrieval_rank)),
      h("span.title", {}, titleOf(item.item_id)),
      to ? h("span.hidden", {}, `, ranked ${ordinal(to.rank)}`) : h("span.fate", {}, h("span.hidden", {}, "not in the list: ranked "), `→ ${fate}`));
    elements.set(id, { element, rank: item.retrieval_rank });
    return element;
  });
  return { rows, elements };
}

/** One row of the final list. `extra` has the controls at its end. */
export function ranked(item, told, { before = null, extra = [], marks = [] } = {}) {
  const id = String(item.item_id);
  const title = titleOf(item.item_id);
  const why = h("p.why", {}, item.explanation?.sentence ?? "");
  const fresh = before && !before.has(id);
  const facts = [
    moved(item),
    fact("ranking score", item.score === null ? "not ranked" : number(item.score)),
    fact("retrieval score", number(item.retrieval_score)),
    item.predicted_rating !== null && fact("predicted rating", number(item.predicted_rating, 2)),
    item.propensity !== null && item.propensity !== undefined && item.propensity < 1 && fact("propensity", number(item.propensity)),
  ];
  const element = h("li.row", { "data-id": id, class: fresh ? "row fresh" : "row" },
    h("span.rank", {}, String(item.rank)),
    h("div.what", {},
      h("p.head", {}, h("a.title", { href: itemLink(item.item_id) }, title), fresh && h("b.tag", {}, "new"), marks,
        (item.rules ?? []).map((rule) => h("b.tag.rule", { title: "A rule touched this item" }, String(rule))), dots(item, told)),
      factsOf(item.item_id) && h("p.sub", {}, factsOf(item.item_id)),
      why,
      h("p.facts", {}, facts),
      h("div.actions", {}, extra)));
  return { element, why };
}

function fact(name, value) {
  return h("span.fact", {}, `${name} `, h("b", {}, value));
}

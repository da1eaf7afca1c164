// Why an item is where it is: the sentence, and on demand its parts.

import { itemLink, learn, titleOf } from "./data.js";
import { named } from "./stages.js";
import { h, number, ordinal, percent, show, signed } from "./dom.js";

/** The parts of an explanation; titles that are not known yet are learned first. */
export async function parts(place, item, told, signal) {
  const why = item.explanation;
  if (!why) { show(place, h("p.quiet", {}, "No explanation came with this answer.")); return; }
  const ids = (why.sources ?? []).flatMap((source) => source.because ?? []);
  await learn(ids.map((one) => one.item_id), signal).catch(() => null);
  show(place, h("div.parts", {}, retrieval(why, told), ranking(why), rating(why)));
}

function retrieval(why, told) {
  if (!why.sources?.length) return null;
  const rows = why.sources.flatMap((source) => [
    h("tr", {},
      h("th", { scope: "row" }, h(`span.dot.s${told.sources.indexOf(source.source)}`, { "aria-hidden": "true" }), named(source.source), !source.proposed && h("small.quiet", {}, " scored it, did not propose it")),
      h("td.n", {}, source.rank ? ordinal(source.rank) : "–"),
      h("td.n", {}, number(source.score))),
    because(source.because ?? [])]);
  return h("section", {}, h("h3", {}, "Stage 1: who found it"),
    h("div.scroll", { tabindex: "0", role: "region", "aria-label": "Sources" }, h("table", {}, h("thead", {}, h("tr", {}, ["Source", "its place", "its score"].map((text, at) => h("th", { scope: "col", class: at ? "n" : null }, text)))), h("tbody", {}, rows))));
}

/** A row of its own, so that titles have room on a phone too. */
function because(list) {
  const shown = list.filter((one) => one.share >= 0.01).slice(0, 3);
  if (!shown.length) return null;
  return h("tr.because", {}, h("td", { colspan: 3 }, "because of ", shown.map((one, at) => [at ? ", " : "", h("a", { href: itemLink(one.item_id) }, titleOf(one.item_id)), ` (${percent(one.share)})`])));
}

function ranking(why) {
  if (!why.ranking?.length) return null;
  const groups = [...why.ranking].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution));
  return h("section", {}, h("h3", {}, "Stage 2: what its score is made of"),
    h("p.sum", {}, `everybody's start ${number(why.base)}`, groups.map((group) => ` ${group.contribution < 0 ? "−" : "+"} ${number(Math.abs(group.contribution))}`).join(""), " = ", h("b", {}, number(why.score))),
    bars(groups.map((group) => ({ name: group.group, value: group.contribution, inner: group.features ?? [] }))));
}

function rating(why) {
  if (!why.rating?.length) return null;
  return h("section", {}, h("h3", {}, "The predicted rating"), bars(why.rating.map((term) => ({ name: term.term, value: term.contribution, inner: [] }))));
}

/** Contributions as bars to the left and to the right of nothing. */
function bars(rows) {
  const widest = Math.max(...rows.map((row) => Math.abs(row.value)), 1e-12);
  return h("ul.contributions", {}, rows.map((row) => {
    const bar = h(`span.bar.${row.value < 0 ? "minus" : "plus"}`);
    bar.style.width = `${(50 * Math.abs(row.value)) / widest}%`;
    const line = [h("span.name", {}, String(row.name).replaceAll("_", " ")), h("span.track", { "aria-hidden": "true" }, bar), h("span.n", {}, signed(row.value))];
    if (!row.inner.length) return h("li", {}, h("div.line", {}, line));
    return h("li", {}, h("details", {}, h("summary.line", {}, line),
      h("ul.features", {}, row.inner.map((one) => h("li", {}, h("span", {}, String(one.feature).replaceAll("_", " ")), h("span.n", {}, typeof one.value === "number" ? number(one.value) : String(one.value ?? "–")), h("span.n", {}, signed(one.contribution)))))));
  }));
}

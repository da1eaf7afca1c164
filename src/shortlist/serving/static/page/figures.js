// Figures of reports and of the server: bars with intervals, tables, and how numbers are worded.

import { h, number } from "./dom.js";

/** Bars with their intervals, as a table that also reads without the bars.
 *  `rows`: [{name, note, value, interval, kind}]; `most` is the value of a full bar. */
export function chart(rows, most, label) {
  return h("table.chart", {}, h("thead.hidden", {}, h("tr", {}, ["What", "Bar", label].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map((row) => h("tr", { class: row.inner ? "inner" : null },
      h("th", { scope: "row" }, row.name, row.note && h("small", {}, row.note)),
      h("td.track-cell", { "aria-hidden": "true" }, h("span.track", {}, bar(row, most), row.interval && whisker(row.interval, most))),
      h("td.n", {}, h("b", {}, number(row.value)), row.interval && h("small", {}, range(row.interval)))))));
}

function bar(row, most) {
  const made = h(`span.bar.${row.kind ?? (row.strong ? "strong" : "plain")}`);
  made.style.width = `${(100 * (row.value ?? 0)) / most}%`;
  return made;
}

function whisker(interval, most) {
  const made = h("span.whisker");
  made.style.left = `${(100 * interval.low) / most}%`;
  made.style.width = `${(100 * (interval.high - interval.low)) / most}%`;
  return made;
}

/** A table whose first column names the rows; it can be scrolled where it is too wide. */
export function table(label, heads, rows) {
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": label }, h("table", {},
    h("thead", {}, h("tr", {}, heads.map((text, at) => h("th", { scope: "col", class: at ? "n" : null }, text)))),
    h("tbody", {}, rows.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row" }, first), others.map((text) => h("td.n", {}, text)))))));
}

export function range(one) {
  return `${number(one.low)} to ${number(one.high)}`;
}

/** A difference with its interval. */
export function difference(one) {
  return `${one.mean > 0 ? "+" : ""}${number(one.mean)} (${range(one)})`;
}

export function p(value) {
  return value === null || value === undefined ? "–" : value < 0.001 ? "< .001" : value.toFixed(3).replace(/^0/, "");
}

const METRICS = { ndcg: "NDCG", recall: "Recall", hit_rate: "Hit rate", mrr: "MRR", map: "MAP", precision: "Precision" };

/** `ndcg@10` as it is written. */
export function titled(name) {
  const [metric, at] = name.split("@");
  return `${METRICS[metric] ?? metric}@${at}`;
}

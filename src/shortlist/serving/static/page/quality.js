// Quality: how good the promoted model is, stage by stage; the verdict first, in words.

import { get } from "./api.js";
import { model } from "./data.js";
import { count, h, integer, number, show } from "./dom.js";
import { note } from "./states.js";

export async function view(place, { signal }) {
  const told = await model();
  const kept = await get(`/v1/models/${told.version}/report`, signal);
  show(place, h("article.quality", {}, kept.report ? judged(kept, told) : training(told)));
}

function judged(kept, told) {
  const { report } = kept;
  const head = report.results[0], stages = head.stages;
  const [word, ...rest] = report.verdict.split(":");
  return [
    h("p.crumb", {}, `Version ${told.version.slice(0, 8)}, judged as ${report.protocol}`),
    h("h1", {}, `${word}.`),
    h("p.lead", {}, rest.join(":").trim()),
    h("p.quiet", {}, `Judged was ${kept.judged}: ${integer(report.data.train_events)} events to learn from, ${integer(report.data.test_events)} held back, ${count(head.n_users, "user")} asked, all ${integer(report.data.catalogue_items)} items in the running${head.seen === "removed" ? ", seen ones left out" : ""}.`),
    report.warnings.map((text) => note("warn", text)), report.leakage.map((text) => note("warn", text)),
    stages && recall(stages, report, told), stages && order(stages, report),
    baselines(head, report), metrics(head), ratings(report), slices(head, report),
    report.notes.length > 0 && section("What else to know", h("ul.plain", {}, report.notes.map((text) => h("li", {}, text)))),
  ];
}

function section(title, ...content) {
  return h("section", {}, h("h2", {}, title), content);
}

function recall(stages, report, told) {
  const rows = [
    { name: "The catalogue", value: 1, note: `all ${integer(told.items)} items` },
    ...stages.sources.map((source) => ({ name: source.name, value: source.recall, interval: stages.intervals[`recall:${source.name}`], kind: `s${told.sources.indexOf(source.name)}`, inner: true })),
    { name: "All sources together", value: stages.recall_union, interval: stages.intervals["recall:union"], note: "their union, before it is cut" },
    { name: `The ${stages.n} candidates`, value: stages.recall_candidates, interval: stages.intervals["recall:candidates"], note: "what ranking can still find" },
  ];
  return section("Stage 1: how much of what users took up is found",
    h("p.quiet", {}, `Recall at ${stages.n}: the share of the items held back that are among the first ${stages.n}. The bar is the mean over users, the line its 95 % interval.`), chart(rows, 1, "Recall"));
}

function order(stages, report) {
  const rows = [
    { name: "Order of retrieval", value: stages.ndcg_fusion, interval: stages.intervals["order:fusion"], note: "the same candidates, fused" },
    { name: "Order of ranking", value: stages.ndcg_ranker, interval: stages.intervals["order:ranker"], strong: true, note: "the model" },
    { name: "A perfect order", value: stages.ndcg_oracle, interval: stages.intervals["order:oracle"], note: "of these candidates: the ceiling" },
  ];
  const lift = stages.ranker_lift;
  return section("Stage 2: how well they are put in order",
    h("p.quiet", {}, `NDCG at ${report.k}, on the same candidates. Ranking adds ${interval(lift)}${lift.p === null ? "" : `, p ${p(lift.p)}`}.`), chart(rows, 1, `NDCG@${report.k}`));
}

/** Bars with their intervals, as a table that also reads without the bars. */
function chart(rows, most, label) {
  return h("table.chart", {}, h("thead.hidden", {}, h("tr", {}, ["What", "Bar", label].map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, rows.map((row) => {
      const bar = h(`span.bar.${row.kind ?? (row.strong ? "strong" : "plain")}`);
      bar.style.width = `${(100 * row.value) / most}%`;
      const whisker = row.interval && h("span.whisker");
      if (whisker) { whisker.style.left = `${(100 * row.interval.low) / most}%`; whisker.style.width = `${(100 * (row.interval.high - row.interval.low)) / most}%`; }
      return h("tr", { class: row.inner ? "inner" : null }, h("th", { scope: "row" }, row.name, row.note && h("small", {}, row.note)),
        h("td.track-cell", { "aria-hidden": "true" }, h("span.track", {}, bar, whisker)),
        h("td.n", {}, h("b", {}, number(row.value)), row.interval && h("small", {}, range(row.interval))));
    })));
}

function range(one) {
  return `${number(one.low)} to ${number(one.high)}`;
}

function interval(one) {
  return `${one.mean > 0 ? "+" : ""}${number(one.mean)} (${range(one)})`;
}

function p(value) {
  return value === null || value === undefined ? "–" : value < 0.001 ? "< .001" : value.toFixed(3).replace(/^0/, "");
}

function table(label, heads, rows) {
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": label }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text, at) => h("th", { scope: "col", class: at ? "n" : null }, text)))),
    h("tbody", {}, rows.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row" }, first), others.map((text) => h("td.n", {}, text)))))));
}

function baselines(head, report) {
  const metric = `ndcg@${report.k}`;
  return section("Beside the baselines",
    table("Baselines", ["Baseline", `its NDCG@${report.k}`, "the model is better by", "p"], head.baselines.map((one) => {
      const difference = one.differences[metric];
      return [one.name.replaceAll("_", " "), number(one.metrics[metric]), difference ? interval(difference) : "–", difference ? p(difference.p) : "–"];
    })), h("p.quiet", {}, "Paired over users; p by randomisation, adjusted for the number of baselines (Holm)."));
}

function metrics(head) {
  const rows = Object.entries(head.metrics).map(([name, one]) => [titled(name), number(one.mean), range(one)]);
  const more = [["Coverage of the catalogue", number(head.coverage), ""], ["Novelty, bits", number(head.novelty), ""], ["Share of the most popular tenth", number(head.popularity_share), ""], ["Diversity", number(head.diversity), ""]];
  return section("All figures", table("All figures", ["Figure", "mean", "95 % interval"], [...rows, ...more]));
}

function titled(name) {
  const [metric, at] = name.split("@");
  const words = { ndcg: "NDCG", recall: "Recall", hit_rate: "Hit rate", mrr: "MRR", map: "MAP", precision: "Precision" };
  return `${words[metric] ?? metric}@${at}`;
}

function ratings(report) {
  const one = report.ratings;
  return one && section("Predicted ratings", h("p", {}, `Off by ${number(one.rmse)} (RMSE, ${number(one.rmse_low)} to ${number(one.rmse_high)}) over ${count(one.n, "rating")}; always saying the mean would be off by ${number(one.rmse_mean)}.`));
}

function slices(head, report) {
  if (!head.slices.length) return null;
  return section("For whom, and for which items", table("Slices", ["Part", "users", `NDCG@${report.k}`, "best baseline", "ceiling"],
    head.slices.map((one) => [`${one.by}: ${one.name}`, integer(one.ndcg.n), number(one.ndcg.mean), number(one.baseline), number(one.recall_candidates)])));
}

/** Without a report: what training itself measured, and how to get a report. */
function training(told) {
  const { record } = told;
  const validation = Object.entries(record.validation ?? {}).map(([name, value]) => ({ name: name.replace(/^source /, ""), value, inner: name.startsWith("source "), strong: name === record.ranker || name === "blend" }));
  const found = Object.entries(record.candidate_recall ?? {}).map(([name, value]) => ({ name, value }));
  const most = Math.max(...validation.map((row) => row.value), 0.001) * 1.15;
  return [
    h("p.crumb", {}, `Version ${told.version.slice(0, 8)}`),
    h("h1", {}, "Not judged yet."),
    h("p.lead", {}, "No report is kept for this version. Below is what training measured on its own validation part, by which it also chose its settings: good for choosing, a little too kind for judging."),
    note("info", "A report with intervals and baselines: ", h("code", {}, "shortlist evaluate DATA --for MODEL")),
    found.length > 0 && section(`Stage 1: how much the ${integer(told.candidates)} candidates hold`, h("p.quiet", {}, "The share of what users took up in each validation window."), chart(found, 1, "Recall")),
    validation.length > 0 && section("Stage 2: each order on the validation part", h("p.quiet", {}, "NDCG at 10: each source alone, all fused, and ranked."), chart(validation, most, "NDCG@10")),
    h("p.quiet", {}, record.data ? `Trained on ${integer(record.data.interactions)} events of ${record.data.name || "a log"}, for the target ${told.target}.` : ""),
  ];
}

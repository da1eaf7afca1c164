// Quality: how good the promoted model is, stage by stage; the verdict first, in words.

import { get } from "./api.js";
import { model } from "./data.js";
import { count, h, integer, number, show } from "./dom.js";
import { chart, difference, p, range, table, titled } from "./figures.js";
import { named } from "./stages.js";
import { note } from "./states.js";
import { training } from "./training.js";

const HELD_BACK = {
  time: "what happened after a day was held back",
  rolling: "several periods, one after the other, were held back",
  next: "the last event of each user was held back",
  random: "events were held back at random",
};

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
    h("p.crumb", {}, `Version ${told.version.slice(0, 8)}${HELD_BACK[report.protocol] ? `: ${HELD_BACK[report.protocol]}` : `, judged as ${report.protocol}`}`),
    h("h1", {}, `${word}.`),
    inWords(head, report),
    h("p", {}, rest.join(":").trim()),
    h("p.quiet", {}, `Judged was ${kept.judged}: ${integer(report.data.train_events)} events to learn from, ${integer(report.data.test_events)} held back, ${count(head.n_users, "user")} asked, all ${integer(report.data.catalogue_items)} items in the running${head.seen === "removed" ? ", seen ones left out" : ""}.`),
    report.warnings.map((text) => note("warn", text)), report.leakage.map((text) => note("warn", text)),
    stages && recall(stages, head, report, told), stages && order(stages, report),
    baselines(head, report), metrics(head), ratings(report), slices(head, report),
    report.notes.length > 0 && section("What else to know", h("ul.plain", {}, report.notes.map((text) => h("li", {}, text)))),
  ];
}

/** The hit rate as people of a hundred: the figure that needs no explanation. */
function inWords(head, report) {
  const metric = `hit_rate@${report.k}`;
  const own = head.metrics[metric];
  if (!own) return null;
  const people = (share) => integer(100 * share);
  const best = head.baselines.filter((one) => typeof one.metrics[metric] === "number").sort((a, b) => b.metrics[metric] - a.metrics[metric])[0];
  return h("p.lead", {}, `Of 100 users, ${people(own.mean)} would find something they really took up among the ${report.k} items shown to them`,
    best ? `; a list by ${named(best.name)} would do so for ${people(best.metrics[metric])}.` : ".");
}

function section(title, ...content) {
  return h("section", {}, h("h2", {}, title), content);
}

function recall(stages, head, report, told) {
  const listed = head.metrics[`recall@${report.k}`];
  const rows = [
    { name: "The catalogue", value: 1, note: `all ${integer(report.data.catalogue_items)} items` },
    ...stages.sources.map((source) => ({ name: named(source.name), value: source.recall, interval: stages.intervals[`recall:${source.name}`], kind: `s${told.sources.indexOf(source.name)}`, inner: true })),
    { name: "All sources together", value: stages.recall_union, interval: stages.intervals["recall:union"], note: "their union, before it is cut" },
    { name: `The ${stages.n} candidates`, value: stages.recall_candidates, interval: stages.intervals["recall:candidates"], note: "the shortlist: what ranking can find" },
    listed && { name: `The ${report.k} in the list`, value: listed.mean, interval: listed, strong: true, note: "ranked: what users see" },
  ].filter(Boolean);
  return section("From the catalogue to the list: how much of what users took up is still there",
    h("p.quiet", {}, `Recall: the share of the items held back that are among the first ${stages.n} of each source, of all sources, on the shortlist, and at last among the first ${report.k} (of as many as fit there). The bar is the mean over users, the line its 95 % interval.`),
    chart(rows, 1, "Recall"));
}

function order(stages, report) {
  const rows = [
    { name: "Order of retrieval", value: stages.ndcg_fusion, interval: stages.intervals["order:fusion"], note: "the same candidates, fused" },
    { name: "Order of ranking", value: stages.ndcg_ranker, interval: stages.intervals["order:ranker"], strong: true, note: "the model" },
    { name: "A perfect order", value: stages.ndcg_oracle, interval: stages.intervals["order:oracle"], note: "of these candidates: the ceiling" },
  ];
  const lift = stages.ranker_lift;
  return section("What ranking adds to retrieval’s order",
    h("p.quiet", {}, `NDCG at ${report.k}: 1 if all that users took up comes first. Ranking adds ${difference(lift)}${lift.p === null ? "" : `, p ${p(lift.p)}`}.`), chart(rows, 1, `NDCG@${report.k}`));
}

function baselines(head, report) {
  const metric = `ndcg@${report.k}`;
  return section("Beside the baselines",
    table("Baselines", ["Baseline", `its NDCG@${report.k}`, "the model is better by", "p"], head.baselines.map((one) => {
      const by = one.differences[metric];
      return [named(one.name), number(one.metrics[metric]), by ? difference(by) : "–", by ? p(by.p) : "–"];
    })), h("p.quiet", {}, "Paired over users; p by randomisation, adjusted for the number of baselines (Holm)."));
}

function metrics(head) {
  const rows = Object.entries(head.metrics).map(([name, one]) => [titled(name), number(one.mean), range(one)]);
  const more = [["Coverage of the catalogue", number(head.coverage), ""], ["Novelty, bits", number(head.novelty), ""], ["Share of the most popular tenth", number(head.popularity_share), ""], ["Diversity", number(head.diversity), ""]];
  return section("All figures", table("All figures", ["Figure", "mean", "95 % interval"], [...rows, ...more]));
}

function ratings(report) {
  const one = report.ratings;
  return one && section("Predicted ratings", h("p", {}, `Off by ${number(one.rmse)} (RMSE, ${number(one.rmse_low)} to ${number(one.rmse_high)}) over ${count(one.n, "rating")}; always saying the mean would be off by ${number(one.rmse_mean)}.`));
}

function slices(head, report) {
  if (!head.slices.length) return null;
  return section("For whom, and for which items", table("Slices", ["Part", "users", `NDCG@${report.k}`, "best baseline", "ceiling"],
    head.slices.map((one) => [`${named(one.by)}: ${one.name}`, integer(one.ndcg.n), number(one.ndcg.mean), number(one.baseline), number(one.recall_candidates)])));
}

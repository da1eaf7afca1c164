// Quality without a report: what training itself measured, and how to get a report.

import { h, integer } from "./dom.js";
import { chart } from "./figures.js";
import { named } from "./stages.js";
import { note } from "./states.js";

const ORDERS = {
  blend: ["Blend", "trees together with the best source"],
  fusion: ["Fusion", "all sources’ votes: retrieval’s order"],
  trees: ["Trees", "the candidates, ranked"],
  rating: ["Predicted rating", "the candidates, by the rating expected"],
};
const KINDS = { trees: "trees", fusion: "the fusion of the sources’ votes", rating: "predicted ratings" };

export function training(told) {
  const { record } = told;
  const orders = Object.entries(record.validation ?? {}).map(([name, value]) => order(name, value, record.ranker))
    .sort((a, b) => Boolean(b.inner) - Boolean(a.inner));
  const found = Object.entries(record.candidate_recall ?? {}).map(([name, value]) => ({ name: `In ${name}`, value }));
  const most = Math.max(...orders.map((row) => row.value), 0.001) * 1.15;
  return [
    h("p.crumb", {}, `Version ${told.version.slice(0, 8)}`),
    h("h1", {}, "Not judged yet."),
    h("p.lead", {}, "No report is kept for this version. Below is what training measured on a part of the data that it held back, and by which it also chose its settings: good for choosing, a little too kind for judging."),
    note("info", "A report with intervals and baselines is made by ", h("code", {}, "shortlist evaluate DATA --for MODEL"), "."),
    found.length > 0 && h("section", {}, h("h2", {}, `Stage 1: how much the ${integer(told.candidates)} candidates hold`),
      h("p.quiet", {}, "The share of what users took up that is on the shortlist, in each part held back."), chart(found, 1, "Recall")),
    orders.length > 0 && h("section", {}, h("h2", {}, "Stage 2: each order on the part held back"),
      h("p.quiet", {}, `NDCG at 10 of each source alone, of all fused, and of the rankers tried. The model ranks by ${KINDS[record.ranker] ?? record.ranker}.`), chart(orders, most, "NDCG@10")),
    h("p.quiet", {}, record.data ? `Trained on ${integer(record.data.interactions)} events of ${record.data.name || "a log"}, for the target ${told.target}.` : ""),
  ];
}

function order(name, value, ranker) {
  if (name.startsWith("source ")) return { name: named(name.slice(7)), value, inner: true };
  const [title, text] = ORDERS[name] ?? [named(name), null];
  return { name: title, note: text, value, strong: name === ranker };
}

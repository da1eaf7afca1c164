// The two stages in figures and words: how many items are left after each, and what each source proposed.

import { count, h, integer } from "./dom.js";
import { note } from "./states.js";

const STAGES = { history: "The history", retrieval: "Retrieval", ranking: "Ranking" };

/** What each source goes by, for those who do not know its name. */
const WAYS = {
  popularity: "taken up most, all in all",
  popularity_decayed: "taken up most, of late",
  popularity_recent: "taken up most in the last days",
  ease: "goes with the whole history",
  covisitation: "follows the latest items",
  als: "taken up by people of like taste",
  content: "has the history's attributes",
  repeats: "had before, and due again",
  two_tower: "near the user, by a network",
  history_tower: "near the history, by a network",
  sequence: "comes next, by a transformer",
};

export function named(source) {
  return source.replaceAll("_", " ");
}

/** What happens here, for somebody who sees it for the first time. */
export function lead(told) {
  const many = told.sources.length > 1;
  return h("p.opening-words", {}, h("b", {}, "Retrieval"), ` goes through the whole catalogue: ${many ? `${told.sources.length} sources each propose` : "a source proposes"} what speaks for this user, and ${integer(Math.min(told.candidates, told.items))} items make the shortlist. `,
    h("b", {}, "Ranking"), told.ranker === "linear" ? " could put these in another order; in training none was clearly better, so retrieval’s stands." : " looks at these alone, but closely, and puts them in order.");
}

export function funnel(told, answer, pool, where) {
  const n = pool.items.length;
  const step = (value, label, more) => h("li", {}, h("b", {}, integer(value)), h("span", {}, label), more && h("small", {}, more));
  return [
    h("ol.steps", {},
      step(told.items, "in the catalogue"),
      step(answer.allowed, where ? "pass the filter" : told.filter_seen ? "not seen before" : "may be recommended"),
      step(n, "on the shortlist", "stage 1, retrieval"),
      step(answer.items.length, "in the list", "stage 2, ranking")),
    n > 0 && h("div.proposed", {}, h("h2", {}, "Who proposed what", h("small", {}, `of the ${count(n, "item")} on the shortlist`)), h("ul.sources", {}, told.sources.map((source, at) => {
      const by = pool.items.filter((item) => item.sources.includes(source)).length;
      const bar = h(`span.bar.s${at}`);
      bar.style.width = `${n ? (100 * by) / n : 0}%`;
      return h("li", {}, h(`span.dot.s${at}`, { "aria-hidden": "true" }),
        h("span.name", {}, named(source), WAYS[source] && h("small", {}, h("span.hidden", {}, ": "), WAYS[source])),
        h("span.n", {}, h("span.hidden", {}, "proposed "), String(by)), h("span.track", { "aria-hidden": "true" }, bar));
    }))),
  ];
}

/** Which colour is which source, where the figures of `funnel` are not shown. */
export function legend(told) {
  return h("ul.legend", { "aria-label": "Sources" }, told.sources.map((source, at) => h("li", {}, h(`span.dot.s${at}`, { "aria-hidden": "true" }), named(source))));
}

/** What is to be said of an answer. */
export function notes(answer, person) {
  const said = [];
  if (answer.degraded.length) said.push(note("warn", h("b", {}, "Not the full answer. "), `${answer.degraded.map((stage) => STAGES[stage] ?? stage).join(" and ")} failed or did not make the deadline, so the list is in ${answer.stages.includes("retrieval") ? "the order of retrieval" : "the order of popularity"}. Ask again for both stages.`));
  if (person.kind === "known" && !answer.known_user && !answer.history_items) said.push(note("info", h("b", {}, "Nobody by this id is known. "), "The list is what anybody would get."));
  if (answer.reason && answer.items.length) said.push(note("info", answer.reason));
  return [...said, ...answer.notes.map((text) => note("info", text))];
}

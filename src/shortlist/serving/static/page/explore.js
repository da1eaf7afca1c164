// Explore: one person, the shortlist turning into the list, and what can be changed about it.

import { post } from "./api.js";
import { asking, built, learn, model, settingsOf, supported, titleOf } from "./data.js";
import { controls, intoQuery, settingsFrom } from "./controls.js";
import { announce, count, h, integer, show } from "./dom.js";
import { ranked, retrieved, slope } from "./flow.js";
import { chooser, historyPanel, nameOf, personOf } from "./person.js";
import { rater } from "./stars.js";
import { empty, failed, loading, note } from "./states.js";
import { parts } from "./why.js";

const STAGES = { history: "The history", retrieval: "Retrieval", ranking: "Ranking" };

export async function view(place, { query, signal }) {
  const [told, fields, person] = await Promise.all([model(), supported(), personOf(query, signal)]);
  const here = new Explore(place, told, fields, person, settingsFrom(query), signal);
  await here.begin();
}

class Explore {
  constructor(place, told, fields, person, settings, signal) {
    Object.assign(this, { place, told, fields, person, settings, signal, before: null, asked: null, openWhy: new Set() });
  }

  async begin() {
    const { told, person } = this;
    this.controls = controls(this.settings, told, this.fields, () => { this.remember(); this.refresh(); });
    this.history = historyPanel(person, told, () => { this.history.refresh(this.signal); this.refresh(); });
    this.heading = h("h1");
    this.funnel = h("div.funnel");
    this.notes = h("div.notes");
    this.flow = h("div.flow", {}, loading("the list", 8));
    show(this.place, h("div.explore", {},
      h("aside", { "aria-label": "The person" }, chooser(person, told, (next, same) => this.pick(next, same)), this.history.panel),
      h("section.stage", { "aria-label": "From the catalogue to the list" }, this.heading, this.funnel, this.controls.box, this.notes, this.flow)));
    this.title();
    const known = person.kind === "known" && typeof person.id === "string";
    if (known) await this.history.refresh(this.signal);  // says which type the id has
    await Promise.all([known || this.history.refresh(this.signal), this.refresh()]);
  }

  title() {
    show(this.heading, `From ${count(this.told.items, "item")} to ${this.settings.k}, for ${nameOf(this.person)}`);
  }

  pick(next, same) {
    if (next.kind === "built" && same) { this.person = { kind: "built" }; this.history.refresh(this.signal); this.refresh(); return; }
    const query = intoQuery(this.settings, new URLSearchParams());
    if (next.kind === "built") query.set("new", "");
    if (next.kind === "known") query.set("user", String(next.id));
    location.hash = `#/explore${[...query].length ? `?${query}` : ""}`;
  }

  remember() {
    const query = intoQuery(this.settings, new URLSearchParams(location.hash.split("?")[1] ?? ""));
    history.replaceState(null, "", `#/explore${[...query].length ? `?${query}` : ""}`);
  }

  async refresh() {
    this.asked?.abort();
    const mine = this.asked = new AbortController();
    const signal = AbortSignal.any([mine.signal, this.signal]);
    const who = asking(this.person), how = settingsOf(this.settings, this.fields);
    const plain = settingsOf({ k: Math.min(1000, this.told.candidates), where: this.settings.where, rules: "" }, this.fields);
    this.flow.setAttribute("aria-busy", "true");
    try {
      const [answer, pool] = await Promise.all([
        post("/v1/recommend", { ...who, ...how }, signal), post("/v1/recommend", { ...who, ...plain }, signal)]);
      const first = pool.items.filter((item) => item.retrieval_rank <= how.k);
      await learn([...answer.items, ...first].map((item) => item.item_id), signal);
      this.controls.complain("");
      this.draw(answer, pool);
      await this.explain({ ...who, ...how }, signal);
    } catch (error) {
      if (error.kind === "aborted") return;
      this.flow.removeAttribute("aria-busy");
      if (["invalid-query", "invalid-request"].includes(error.kind)) this.controls.complain(error.detail);
      else { show(this.flow, failed(error, () => this.begin())); this.before = null; }
    }
  }

  draw(answer, pool) {
    const { told } = this;
    this.answer = answer;
    this.title();
    this.rows = new Map();
    show(this.notes, notes(answer, this.person));
    show(this.funnel, funnel(told, answer, pool, this.settings.where));
    this.flow.removeAttribute("aria-busy");
    if (!answer.items.length) {
      show(this.flow, empty("Nothing is left to recommend", answer.reason ?? "No item passes the filters.",
        this.settings.where && h("p.buttons", {}, h("button", { type: "button", onclick: () => this.clear() }, "Clear the filter"))));
      return;
    }
    const left = retrieved(pool.items, answer.items, this.settings.k);
    const right = new Map();
    const rows = answer.items.map((item) => {
      const panel = h("div.panel-why", { hidden: true });
      const button = h("button.small", { type: "button", "aria-expanded": "false", onclick: () => this.toggle(item, panel, button) }, "Why", h("span.hidden", {}, ` ${titleOf(item.item_id)}`));
      const row = ranked(item, told, { before: this.before, extra: [rater(titleOf(item.item_id), told, (value) => this.rate(item, value)), button] });
      row.element.append(panel);
      right.set(String(item.item_id), { element: row.element, rank: item.rank });
      this.rows.set(String(item.item_id), { item, why: row.why, panel, button });
      return row.element;
    });
    show(this.flow,
      h("section.left", { "aria-label": "Stage 1, retrieval" }, h("h2", {}, "Retrieved", h("small", {}, "stage 1")), h("ol.retrieved", {}, left.rows)),
      slope(left.elements, right),
      h("section.right", { "aria-label": "Stage 2, ranked" }, h("h2", {}, answer.stages.includes("ranking") ? "Ranked" : "Not ranked", h("small", {}, `stage 2${answer.acted?.length ? `, then ${answer.acted.join(", ")}` : ""}`)), h("ol.ranked", {}, rows)));
    this.tell(answer);
  }

  tell(answer) {
    const ids = new Set(answer.items.map((item) => String(item.item_id)));
    if (this.before) {
      const n = [...ids].filter((id) => !this.before.has(id)).length;
      const moved = answer.items.filter((item) => this.before.has(String(item.item_id)) && this.before.get(String(item.item_id)) !== item.rank).length;
      announce(n || moved ? `The list has changed: ${n} new, ${moved} moved.` : "The list is the same as before.");
    }
    this.before = new Map(answer.items.map((item) => [String(item.item_id), item.rank]));
  }

  async explain(body, signal) {
    if (!this.fields.has("explain")) return;
    const { items } = await post("/v1/recommend", { ...body, explain: true }, signal).catch((error) => { if (error.kind === "aborted") throw error; return { items: [] }; });
    for (const item of items) {
      const row = this.rows.get(String(item.item_id));
      if (!row || !item.explanation) continue;
      row.item.explanation = item.explanation;
      row.why.textContent = item.explanation.sentence ?? "";
      if (!row.panel.hidden) await parts(row.panel, row.item, this.told, signal);
    }
  }

  async toggle(item, panel, button) {
    panel.hidden = !panel.hidden;
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) await parts(panel, item, this.told, this.signal);
  }

  clear() {
    this.settings.where = "";
    this.remember();
    this.begin();
  }

  async rate(item, value) {
    const title = titleOf(item.item_id);
    try {
      if (this.person.kind === "built") built.rate(item.item_id, value);
      else {
        const event = { id: `page-${crypto.randomUUID()}`, user_id: this.person.id, item_id: item.item_id, rating: value, request_id: this.answer.request_id };
        if (this.told.positive_events.length) event.event = this.told.positive_events[0];
        const { results } = await post("/v1/events", [event], this.signal);
        if (!["stored", "duplicate"].includes(results[0].status)) throw Object.assign(new Error(results[0].reason), { title: "Not stored", detail: results[0].reason });
      }
      show(this.notes, note("good", value === null ? `${title} is in the history now.` : `${title} rated ${value}.`));
      const said = this.notes.firstChild;
      await Promise.all([this.history.refresh(this.signal), this.refresh()]);
      this.notes.prepend(said);
    } catch (error) {
      if (error.kind !== "aborted") show(this.notes, failed(error, () => this.rate(item, value)));
    }
  }
}

function notes(answer, person) {
  const said = [];
  if (answer.degraded.length) said.push(note("warn", h("b", {}, "Not the full answer. "), `${answer.degraded.map((stage) => STAGES[stage] ?? stage).join(" and ")} failed or did not make the deadline, so the list is in ${answer.stages.includes("retrieval") ? "the order of retrieval" : "the order of popularity"}. Ask again for both stages.`));
  if (person.kind === "known" && !answer.known_user && !answer.history_items) said.push(note("info", h("b", {}, "Nobody by this id is known. "), "The list is what anybody would get."));
  if (answer.reason) said.push(note("info", answer.reason));
  return [...said, ...answer.notes.map((text) => note("info", text))];
}

function funnel(told, answer, pool, where) {
  const n = pool.items.length;
  const by = told.sources.map((source) => pool.items.filter((item) => item.sources.includes(source)).length);
  const step = (value, label, more) => h("li", {}, h("b", {}, integer(value)), h("span", {}, label), more && h("small", {}, more));
  return [
    h("ol.steps", {},
      step(told.items, "in the catalogue"),
      step(answer.allowed, where ? "pass the filter" : told.filter_seen ? "not seen before" : "may be recommended"),
      step(n, "on the shortlist", `stage 1, ${told.sources.length} sources`),
      step(answer.items.length, "in the list", "stage 2, ranked")),
    h("ul.sources", { "aria-label": "What each source proposed" }, told.sources.map((source, at) => {
      const bar = h(`span.bar.s${at}`);
      bar.style.width = `${n ? (100 * by[at]) / n : 0}%`;
      return h("li", {}, h(`span.dot.s${at}`, { "aria-hidden": "true" }), h("span", {}, source), h("span.track", { "aria-hidden": "true" }, bar), h("span.n", {}, h("span.hidden", {}, "proposed "), `${by[at]}`));
    })),
  ];
}

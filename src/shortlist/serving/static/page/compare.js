// Compare: two versions, or two settings, side by side for the same person.

import { get, post } from "./api.js";
import { asking, factsOf, itemLink, learn, model, settingsOf, supported, titleOf } from "./data.js";
import { controls, intoQuery, settingsFrom } from "./controls.js";
import { announce, count, h, number, show } from "./dom.js";
import { chooser, historyPanel, intoAddress, nameOf, personOf } from "./person.js";
import { table, titled } from "./figures.js";
import { dots, slope } from "./flow.js";
import { legend } from "./stages.js";
import { failed, loading, note } from "./states.js";

export async function view(place, { query, signal }) {
  const [told, fields, models, person] = await Promise.all([model(), supported(), get("/v1/models", signal), personOf(query, signal)]);
  if (person.kind === "known" && typeof person.id === "string") {
    const known = await get(`/v1/users/${encodeURIComponent(person.id)}/history?limit=1`, signal).catch(() => null);
    if (known) person.id = known.user_id;
  }
  await new Compare(place, { told, fields, models, person, signal }, query).begin();
}

class Compare {
  constructor(place, given, query) {
    Object.assign(this, { place, ...given });
    this.sides = ["a", "b"].map((name) => ({ name, settings: settingsFrom(query, name), answer: null, problem: null }));
    const [a, b] = this.sides.map((side) => side.settings);
    const other = this.models.versions.find((version) => version !== this.models.serving);
    a.version ||= this.models.serving;  // as the address says, even where it is not kept any more
    b.version ||= other ?? this.models.serving;
    if (!other && ![...query.keys()].some((key) => key.startsWith("b")) && this.fields.has("diversity")) b.diversity = 0.5;
  }

  async begin() {
    const { told, person } = this;
    const past = historyPanel(person, told, () => { past.refresh(this.signal); this.refresh(); });
    this.summary = h("div.notes");
    this.colours = h("div");
    this.lists = h("div.flow.versus", {}, loading("both lists", 8));
    this.reports = h("section.reports");
    for (const side of this.sides) side.controls = this.settings(side);
    show(this.place, h("div.compare", {},
      h("h1", {}, `Two lists for ${nameOf(person)}`),
      h("div.asked", {}, chooser(person, told, (next, same) => this.pick(next, same)),
        person.kind === "built" && past.panel,
        this.sides.map((side) => h("section.panel", { "aria-label": `Settings of list ${side.name.toUpperCase()}` }, h("h2", {}, `List ${side.name.toUpperCase()}`), side.version, side.controls.box))),
      this.summary, this.colours, this.lists, this.reports));
    if (person.kind === "built") past.refresh(this.signal);
    await Promise.all([this.refresh(), this.report()]);
  }

  settings(side) {
    const { models, told, fields } = this;
    const id = `${side.name}version`;
    side.version = h("div.field", {}, h("label", { for: id }, "Version"), h("select", { id, onchange: (event) => { side.settings.version = event.target.value; this.changed(side); this.report(); } },
      [...new Set([...models.versions, side.settings.version])].map((version) => h("option", { value: version, selected: version === side.settings.version },
        `${version.slice(0, 8)}${version === models.serving ? ", promoted" : models.versions.includes(version) ? "" : ", not kept"}`))),
    models.versions.length < 2 && h("p.quiet", {}, "This is the only version that is kept."));
    return controls(side.settings, told, fields, () => this.changed(side), { name: side.name, lengths: false });
  }

  pick(next, same) {
    if (same) { this.begin(); return; }
    location.hash = `#/compare?${this.query(next)}`;
  }

  query(person = this.person) {
    const query = new URLSearchParams(location.hash.split("?")[1] ?? "");
    for (const side of this.sides) intoQuery(side.settings, query, side.name);
    intoAddress(person, query);
    return query;
  }

  changed(side) {
    history.replaceState(null, "", `#/compare?${this.query()}`);
    this.refresh([side]);
  }

  async refresh(sides = this.sides) {
    this.lists.setAttribute("aria-busy", "true");
    await Promise.all(sides.map((side) => this.ask(side)));
    if (this.signal.aborted) return;
    this.lists.removeAttribute("aria-busy");
    this.draw();
  }

  async ask(side) {
    side.asked?.abort();
    side.asked = new AbortController();
    const signal = AbortSignal.any([side.asked.signal, this.signal]);
    try {
      const answer = await this.answerOf(side.settings, signal);
      await learn(answer.items.map((item) => item.item_id), signal);
      Object.assign(side, { answer, problem: null });
      side.controls.complain("");
    } catch (error) {
      if (error.kind === "aborted") return;
      if (error.kind === "invalid-query") side.controls.complain(error.detail);
      if (error.kind !== "invalid-query" || !side.answer) Object.assign(side, { answer: null, problem: error });
    }
  }

  /** By the version chosen: the open route answers by the promoted one alone, and that may have changed meanwhile. */
  async answerOf(settings, signal) {
    const { version } = settings;
    const body = { ...asking(this.person), ...settingsOf(settings, this.fields) };
    if (version === this.models.serving) {
      const answer = await post("/v1/recommend", body, signal);
      if (answer.model_version === version) return answer;
      dispatchEvent(new Event("shortlist-model"));
      this.models = await get("/v1/models", signal);
    }
    return post(`/v1/models/${encodeURIComponent(version)}/recommend`, body, signal);
  }

  draw() {
    const [a, b] = this.sides;
    const ranks = this.sides.map((side) => new Map((side.answer?.items ?? []).map((item) => [String(item.item_id), item.rank])));
    const sources = [...new Set([...this.told.sources, ...this.sides.flatMap((side) => (side.answer?.items ?? []).flatMap((item) => item.sources))])];
    show(this.colours, legend({ sources }));
    const columns = this.sides.map((side, at) => column(side, { sources }, ranks[1 - at], () => this.refresh([side])));
    const both = [...ranks[0].keys()].filter((id) => ranks[1].has(id));
    const left = new Map(both.map((id) => [id, { element: columns[0].rows.get(id), rank: ranks[0].get(id) }]));
    const right = new Map(both.map((id) => [id, { element: columns[1].rows.get(id), rank: ranks[1].get(id) }]));
    show(this.lists, columns[0].box, slope(left, right), columns[1].box);
    if (!a.answer || !b.answer) { show(this.summary); return; }
    const same = both.filter((id) => ranks[0].get(id) === ranks[1].get(id)).length;
    const only = ranks[0].size - both.length, other = ranks[1].size - both.length;
    const text = only + other === 0 && same === both.length ? "Both lists are the same."
      : `${count(both.length, "item")} in both lists, ${same} of them at the same place; ${only} only in A, ${other} only in B.`;
    show(this.summary, note("info", text));
    announce(text);
  }

  async report() {
    const versions = [...new Set(this.sides.map((side) => side.settings.version))];
    const kept = await Promise.all(versions.map((version) => get(`/v1/models/${encodeURIComponent(version)}/report`, this.signal).catch(() => null)));
    const known = kept.filter((one) => one?.report);
    if (!known.length || versions.length < 2) { show(this.reports); return; }
    const names = [...new Set(known.flatMap((one) => Object.keys(one.report.results[0].metrics)))];
    const shown = (figure, best) => (!figure ? "–" : [h(figure.mean === best ? "b" : "span", {}, number(figure.mean)), ` [${number(figure.low)}, ${number(figure.high)}]`]);
    show(this.reports, h("h2", {}, "Their reports"),
      table("Their reports", ["Figure", ...known.map((one) => one.version.slice(0, 8))], [["Protocol", ...known.map((one) => one.report.protocol)], ...names.map((name) => {
        const figures = known.map((one) => one.report.results[0].metrics[name]);
        const best = Math.max(...figures.map((figure) => figure?.mean ?? -Infinity));
        return [titled(name), ...figures.map((figure) => shown(figure, best))];
      })]),
      h("p.quiet", {}, "Figures of different protocols or data cannot be held against each other; ", h("code", {}, "shortlist evaluate A B"), " compares two models on the same questions."));
  }
}

function column(side, told, other, again) {
  const name = side.name.toUpperCase();
  const rows = new Map();
  const heading = h("h2", {}, `List ${name}`, h("small", {}, side.answer ? `version ${side.answer.model_version.slice(0, 8)}${side.answer.acted?.length ? `, ${side.answer.acted.join(", ")}` : ""}` : ""));
  if (side.problem) return { rows, box: h("section.side", { "aria-label": `List ${name}` }, heading, failed(side.problem, again)) };
  const items = side.answer?.items ?? [];
  for (const item of items) {
    const id = String(item.item_id);
    rows.set(id, h("li.row", { "data-id": id }, h("span.rank", {}, String(item.rank)),
      h("div.what", {}, h("p.head", {}, h("a.title", { href: itemLink(item.item_id) }, titleOf(item.item_id)), mark(item.rank, other.get(id), name), dots(item, told)),
        h("p.sub", {}, factsOf(item.item_id, 2)))));
  }
  return { rows, box: h("section.side", { "aria-label": `List ${name}` }, heading,
    side.answer?.degraded.length ? note("warn", `Without ${side.answer.degraded.join(" and ")}: it failed or was late.`) : null,
    h("ol", {}, [...rows.values()]), items.length ? null : h("p.quiet", {}, side.answer?.reason ?? "Nothing to show.")) };
}

function mark(rank, other, name) {
  if (other === undefined) return h("b.tag.lost", {}, `only in ${name}`);
  if (other === rank) return null;
  return h("b.tag.other", {}, `${rank < other ? "▲" : "▼"} ${Math.abs(other - rank)}`, h("span.hidden", {}, rank < other ? " places higher than in the other list" : " places lower than in the other list"));
}

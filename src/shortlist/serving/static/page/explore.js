// Explore: one person, the shortlist turning into the list, and what can be changed about it.

import { post } from "./api.js";
import { asking, built, learn, model, settingsOf, supported, titleOf } from "./data.js";
import { controls, intoQuery, settingsFrom } from "./controls.js";
import { announce, count, h, show } from "./dom.js";
import { ranked, retrieved, slope } from "./flow.js";
import { chooser, historyPanel, intoAddress, nameOf, personOf } from "./person.js";
import { funnel, lead, notes } from "./stages.js";
import { rater } from "./stars.js";
import { empty, failed, loading, note } from "./states.js";
import { parts } from "./why.js";

export async function view(place, { query, signal }) {
  const [told, fields, person] = await Promise.all([model(), supported(), personOf(query, signal)]);
  const here = new Explore(place, told, fields, person, settingsFrom(query), signal);
  await here.begin();
}

class Explore {
  constructor(place, told, fields, person, settings, signal) {
    Object.assign(this, { place, told, fields, person, settings, signal, before: null, asked: null, opened: new Set(), answer: null, said: null, busy: false });
  }

  async begin() {
    const { told, person } = this;
    this.controls = controls(this.settings, told, this.fields, () => { this.remember(); this.refresh(); });
    this.history = historyPanel(person, told, () => { this.history.refresh(this.signal); this.refresh(); });
    this.heading = h("h1");
    this.funnel = h("div.funnel");
    this.notes = h("div.notes");
    this.answer = null;
    this.flow = h("div.flow", {}, loading("the list", 8));
    show(this.place, h("div.explore", {},
      h("aside", { "aria-label": "The person" }, chooser(person, told, (next, same) => this.pick(next, same)), this.history.panel),
      h("section.stage", { "aria-label": "From the catalogue to the list" }, h("div.opening", {}, this.heading, lead(told)), this.funnel, this.controls.box, this.notes, this.flow)));
    this.title();
    this.remember();
    const known = person.kind === "known" && typeof person.id === "string";
    if (known) await this.history.refresh(this.signal);  // says which type the id has
    await Promise.all([known || this.history.refresh(this.signal), this.refresh()]);
  }

  title(n = this.settings.k) {
    show(this.heading, `From ${count(this.told.items, "item")} to ${n}, for ${nameOf(this.person)}`);
  }

  pick(next, same) {
    if (same) { this.person = { kind: "built" }; this.history.refresh(this.signal); this.refresh(); return; }
    location.hash = this.address(this.settings, next);
  }

  address(settings, person = this.person) {
    const query = intoQuery({ rules: null, ...settings }, new URLSearchParams());
    intoAddress(person, query);
    return `#/explore?${query}`;
  }

  remember() {
    history.replaceState(null, "", this.address(this.settings));
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
      if (answer.model_version !== this.told.version && await this.renewed(answer.model_version)) return;
      this.controls.complain("");
      this.draw(answer, pool);
      this.explain({ ...who, ...how }, signal);  // the list does not wait for it
    } catch (error) {
      if (error.kind === "aborted") return;
      this.flow.removeAttribute("aria-busy");
      this.fail(error);
    }
  }

  /** What is shown stays, where there is something; behind what is said of the failure. */
  fail(error) {
    const refused = ["invalid-query", "invalid-request"].includes(error.kind);
    if (refused) this.controls.complain(error.detail);
    if (this.answer) {
      if (!refused) { this.flow.classList.add("stale"); show(this.notes, failed(error, () => this.refresh())); }
    } else if (refused) show(this.flow, empty("This cannot be answered", error.detail, h("p.buttons", {}, h("a.button", { href: this.address({}) }, "Without the settings"))));
    else show(this.flow, failed(error, () => this.refresh()));
  }

  /** Another version answers than the one that this view was built for. */
  async renewed(version) {
    dispatchEvent(new Event("shortlist-model"));
    const told = await model();
    if (told.version !== version) return false;
    this.told = told;
    this.say(note("info", h("b", {}, "Another version answers now: "), h("code", {}, version.slice(0, 8)), "."));
    await this.begin();
    return true;
  }

  /** Said above the list until the next one is drawn. */
  say(text) {
    this.said = text;
  }

  draw(answer, pool) {
    const { told } = this;
    this.answer = answer;
    this.title(answer.items.length);
    this.rows = new Map();
    show(this.notes, this.said, notes(answer, this.person));
    this.said = null;
    this.flow.classList.remove("stale");
    show(this.funnel, funnel(told, answer, pool, this.settings.where));
    this.flow.removeAttribute("aria-busy");
    if (!answer.items.length) {
      show(this.flow, empty("Nothing is left to recommend", this.settings.where ? "No item passes the filter." : answer.reason ?? "Everything is in the history already.",
        this.settings.where && h("p.buttons", {}, h("button", { type: "button", onclick: () => this.clear() }, "Clear the filter"))));
      return;
    }
    const left = retrieved(pool.items, answer.items, this.settings.k);
    const right = new Map();
    const rows = answer.items.map((item) => {
      const open = this.opened.has(String(item.item_id));
      const panel = h("div.panel-why", { hidden: !open });
      const button = h("button.small", { type: "button", "aria-expanded": String(open), onclick: () => this.toggle(item, panel, button) }, "Why", h("span.hidden", {}, ` ${titleOf(item.item_id)}`));
      const row = ranked(item, told, { before: this.before, extra: [rater(titleOf(item.item_id), told, (value) => this.rate(item, value)), button] });
      row.element.append(panel);
      right.set(String(item.item_id), { element: row.element, rank: item.rank });
      this.rows.set(String(item.item_id), { item, why: row.why, panel, button });
      return row.element;
    });
    this.flow.style.setProperty("--rows", Math.max(left.rows.length, rows.length) + 1);
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
    const { items } = await post("/v1/recommend", { ...body, explain: true }, signal).catch(() => ({ items: [] }));
    if (signal.aborted) return;
    for (const item of items) {
      const row = this.rows.get(String(item.item_id));
      if (!row || !item.explanation) continue;
      row.item.explanation = item.explanation;
      row.why.textContent = item.explanation.sentence ?? "";
      if (!row.panel.hidden) parts(row.panel, row.item, this.told, signal);
    }
  }

  async toggle(item, panel, button) {
    panel.hidden = !panel.hidden;
    this.opened[panel.hidden ? "delete" : "add"](String(item.item_id));
    button.setAttribute("aria-expanded", String(!panel.hidden));
    if (!panel.hidden) await parts(panel, item, this.told, this.signal);
  }

  clear() {
    const { where } = this.controls;
    where.value = this.settings.where = "";
    where.focus();
    this.remember();
    this.refresh();
  }

  async rate(item, value, id = `page-${token()}`) {
    if (this.busy) return;
    this.busy = true;
    const title = titleOf(item.item_id);
    try {
      if (this.person.kind === "built") built.rate(item.item_id, value);
      else await this.store(item, value, id);
      this.say(note("good", value === null ? `${title} is in the history now.` : `${title} rated ${value}.`));
      await Promise.all([this.history.refresh(this.signal), this.refresh()]);
    } catch (error) {
      if (error.kind !== "aborted") show(this.notes, failed(error, () => this.rate(item, value, id)));
    } finally {
      this.busy = false;
    }
  }

  /** The id stays the same when it is tried again, so that it is stored once. */
  async store(item, value, id) {
    const event = { id, user_id: this.person.id, item_id: item.item_id, rating: value, request_id: this.answer.request_id };
    if (this.told.positive_events.length) event.event = this.told.positive_events[0];
    const { results } = await post("/v1/events", [event], this.signal);
    if (!["stored", "duplicate"].includes(results[0].status)) throw Object.assign(new Error(results[0].reason), { title: "Not stored", detail: results[0].reason });
  }
}

function token() {
  return [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n.toString(36)).join("");
}

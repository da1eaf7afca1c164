// Who is looked at: picked from the users of the log, or made up here by rating items; and the history that counts.

import { get } from "./api.js";
import { built, factsOf, itemLink, keep, learn, titleOf } from "./data.js";
import { count, day, h, later, show } from "./dom.js";
import { given, rater } from "./stars.js";
import { failed, loading } from "./states.js";

const SHOWN = 12;

let latest = null, known = null;

/** The person that an address names; without a name the one looked at last, else a user of middling history. */
export async function personOf(query, signal) {
  const wanted = query.get("user");
  if (query.has("new")) latest = { kind: "built" };
  else if (wanted) latest = { kind: "known", id: wanted };
  else if (query.has("known")) latest = known ?? await anyone(signal);
  else latest ??= await anyone(signal);
  if (latest.kind === "known") known = latest;
  return { ...latest };
}

/** Puts a person into the query of an address. */
export function intoAddress(person, query) {
  for (const name of ["user", "new", "known"]) query.delete(name);
  if (person.kind === "known") query.set("user", String(person.id));
  else query.set(person.kind === "built" ? "new" : "known", "");
}

async function anyone(signal) {
  const { users } = await get("/v1/users?limit=40", signal);
  if (!users.length) return { kind: "built" };
  const fit = users.find((user) => user.events >= 15 && user.events <= 80) ?? users.reduce((a, b) => (b.events > a.events ? b : a));
  return { kind: "known", id: fit.user_id };
}

export function nameOf(person) {
  return person.kind === "known" ? `user ${person.id}` : "someone new";
}

/** The choice of a person; `pick` is called with the next one. */
export function chooser(person, told, pick) {
  const known = person.kind === "known";
  const tab = (label, on, next) => h("button", { type: "button", "aria-pressed": String(on), onclick: () => on || pick(next) }, label);
  return h("section.panel.who", { "aria-label": "Who" },
    h("div.switch", { role: "group", "aria-label": "Who" },
      tab("A known user", known, { kind: "any" }), tab("Someone new", !known, { kind: "built" })),
    known ? userField(person, pick) : titleField(told, pick));
}

function userField(person, pick) {
  const list = h("datalist", { id: "users-known" });
  const input = h("input", { id: "user", type: "search", value: String(person.id), list: "users-known", autocomplete: "off", spellcheck: "false", enterkeyhint: "go" });
  const about = h("p.quiet.about");
  const options = async (text) => {
    const found = await get(`/v1/users?limit=30&search=${encodeURIComponent(text)}`).catch(() => null);
    if (!found) return;
    show(list, found.users.map((user) => h("option", { value: String(user.user_id) }, count(user.events, "event"))));
    const own = found.users.find((user) => String(user.user_id) === String(person.id));
    if (own) show(about, [count(own.events, "event"), ...Object.entries(own.attributes).filter(([, value]) => value !== null).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`)].slice(0, 4).join(" · "));
  };
  const search = later((text) => options(text));
  input.addEventListener("input", (event) => {
    search(input.value.trim());
    if (!(event instanceof InputEvent) || event.inputType === "insertReplacementText") go();  // one of the list was taken
  });
  options(String(person.id));
  const go = () => input.value.trim() && input.value.trim() !== String(person.id) && pick({ kind: "known", id: input.value.trim() });
  return h("form", { onsubmit: (event) => { event.preventDefault(); go(); } },
    h("label", { for: "user" }, "User id"), h("div.joined", {}, input, h("button", { type: "submit" }, "Show")), list, about);
}

function titleField(told, pick) {
  const results = h("ul.results", { "aria-label": "Items found" });
  const said = h("p.quiet", { role: "status" });
  const input = h("input", { id: "titles", type: "search", autocomplete: "off", spellcheck: "false", placeholder: "Part of a title" });
  const find = async () => {
    const text = input.value.trim();
    const found = await get(`/v1/items?limit=8&search=${encodeURIComponent(text)}`).catch((error) => ({ error }));
    if (input.value.trim() !== text || !found) return;
    if (found.error) { show(results); said.textContent = found.error.message; return; }
    found.items.forEach(keep);
    said.textContent = !found.total ? "Nothing by this name." : text ? `${count(found.total, "item")} found` : "The first of the catalogue:";
    show(results, found.items.map(({ item_id: id }) => h("li", { "data-id": String(id) },
      h("span.title", {}, titleOf(id), h("small", {}, factsOf(id, 2))),
      rater(titleOf(id), told, (value) => { built.rate(id, value); pick({ kind: "built" }, true); }))));
  };
  input.addEventListener("input", later(find, 120));
  find();
  return h("form", { onsubmit: (event) => { event.preventDefault(); find(); } },
    h("label", { for: "titles" }, "Search, and rate what they know"), input, said, results);
}

/** The history that counts, newest first; `changed` is called after one made here was changed. */
export function historyPanel(person, told, changed) {
  const place = h("div"), heading = h("h2", {}, "History");
  let all = false;
  const panel = h("section.panel.past", { "aria-label": "History" }, heading, place);
  show(place, loading("the history", 5));

  async function refresh(signal) {
    try {
      const [events, total] = await eventsOf(person, signal);
      await learn(events.slice(0, all ? events.length : SHOWN).map((event) => event.item_id), signal);
      draw(events, total, signal);
    } catch (error) {
      if (error.kind !== "aborted") show(place, error.kind === "not-found"
        ? h("p.quiet", {}, error.detail) : failed(error, () => refresh(signal)));
    }
  }
  function draw(events, total, signal) {
    show(heading, "History", h("span.quiet", {}, ` ${count(total, "event")}`));
    if (!events.length) {
      show(place, h("p.quiet", {}, person.kind === "known"
        ? "Nobody by this id is known: the answer is what everybody would get. Rate an item, and it becomes theirs."
        : "Nothing yet. The list is what anybody would get; rate a few items and watch it change."));
      return;
    }
    show(place, h("ol.history", {}, events.slice(0, all ? events.length : SHOWN).map((event) => line(event, person, told, changed))),
      events.length > SHOWN && h("button.link", { type: "button", onclick: () => { all = !all; refresh(signal); } }, all ? "Show fewer" : total > events.length ? `Show the latest ${events.length}` : `Show all ${total}`));
  }
  return { panel, refresh };
}

async function eventsOf(person, signal) {
  if (person.kind === "built") {
    const events = built.events().toReversed();
    return [events, events.length];
  }
  const answer = await get(`/v1/users/${encodeURIComponent(String(person.id))}/history?limit=500`, signal);
  person.id = answer.user_id;  // with the type that the model's ids have
  person.known = answer.known_user;
  return [answer.events.toReversed(), answer.total];
}

function line(event, person, told, changed) {
  const id = event.item_id, title = titleOf(id);
  const when = person.kind === "known" && event.timestamp > 100_000_000 ? day(event.timestamp) : null;
  const facts = [when, event.event, event.weight === 0 && "does not count"].filter(Boolean).join(" · ");
  return h("li", { "data-id": String(id), class: event.known_to_model === false ? "fresh" : null },
    h("span.title", {}, h("a", { href: itemLink(id) }, title),
      h("small", {}, event.known_to_model === false && h("b.tag", {}, "new"), facts || factsOf(id, 2))),
    given(event.rating, told.ratings),
    person.kind === "built" && h("button.small.bare", { type: "button", "aria-label": `Take ${title} out`, onclick: () => { built.rate(id, undefined); changed(); } }, "×"));
}

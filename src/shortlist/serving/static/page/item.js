// Item: its attributes, what is like it, and where it stands for somebody.

import { get, post } from "./api.js";
import { asking, built, factsOf, itemLink, keep, learn, model, supported, titleOf, worded } from "./data.js";
import { count, h, later, number, ordinal, show } from "./dom.js";
import { nameOf, personOf } from "./person.js";
import { rater } from "./stars.js";
import { empty, failed, loading, note } from "./states.js";
import { parts } from "./why.js";

export async function view(place, { rest, query, signal }) {
  const told = await model();
  if (!rest.length) { await search(place, query, signal); return; }
  let item;
  try {
    item = await get(`/v1/items/${encodeURIComponent(rest.join("/"))}`, signal);
  } catch (error) {
    if (error.kind !== "not-found") throw error;
    show(place, empty("There is no such item", `The catalogue has no item ${rest.join("/")}.`, h("p.buttons", {}, h("a", { href: "#/item" }, "Search the catalogue"))));
    return;
  }
  keep(item);
  const title = titleOf(item.item_id);
  document.title = `${title} · Shortlist`;
  const similar = h("div", {}, loading("similar items", 6)), stands = h("div", {}, loading("where it stands", 4));
  const said = h("p.quiet", { role: "status" });
  show(place, h("article.item", {},
    h("p.crumb", {}, h("a", { href: "#/item" }, "Items")),
    h("h1", {}, title),
    h("p.quiet", {}, "Its id is ", h("code", {}, String(item.item_id))),
    h("div.columns", {},
      h("section", {}, h("h2", {}, "Attributes"), attributes(item)),
      h("section", {}, h("h2", {}, "Similar items"), similar)),
    h("section.stands", {}, h("h2", {}, "Where it stands"), stands,
      h("div.rate", {}, h("span", {}, "Rate it for someone new"), rater(title, told, (value) => { built.rate(item.item_id, value); show(said, "Done. ", h("a", { href: "#/explore?new=" }, `See their list`), ` (${count(built.events().length, "item")} in their history).`); })), said)));
  await Promise.all([similarTo(similar, item.item_id, signal), standing(stands, item.item_id, query, told, signal)]);
}

function attributes(item) {
  const rows = Object.entries(item.attributes);
  if (!rows.length) return h("p.quiet", {}, "The data say nothing about it but its id.");
  return h("dl", {}, rows.map(([name, value]) => [h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, worded(value))]));
}

async function similarTo(place, id, signal) {
  try {
    const { items } = await get(`/v1/items/${encodeURIComponent(String(id))}/similar?k=12`, signal);
    await learn(items.map((one) => one.item_id), signal);
    if (!items.length) { show(place, h("p.quiet", {}, "Nothing is known to be like it.")); return; }
    const most = Math.max(...items.map((one) => one.score), 1e-12);
    show(place, h("ol.similar", {}, items.map((one) => {
      const bar = h("span.bar");
      bar.style.width = `${Math.max(0, (100 * one.score) / most)}%`;
      return h("li", {}, h("span.title", {}, h("a", { href: itemLink(one.item_id) }, titleOf(one.item_id)), h("small", {}, factsOf(one.item_id, 2))),
        h("span.track.s0", { "aria-hidden": "true" }, bar), h("span.n", {}, h("span.hidden", {}, "score "), number(one.score)));
    })));
  } catch (error) {
    if (error.kind === "aborted") return;
    show(place, error.kind.startsWith("invalid") || error.kind === "not-found" ? h("p.quiet", {}, error.detail) : failed(error, () => similarTo(place, id, signal)));
  }
}

async function standing(place, id, query, told, signal) {
  try {
    const [person, fields] = await Promise.all([personOf(query, signal), supported()]);
    if (person.kind === "known" && typeof person.id === "string") {
      const known = await get(`/v1/users/${encodeURIComponent(person.id)}/history?limit=1`, signal).catch(() => null);
      if (known) person.id = known.user_id;
    }
    const who = asking(person), k = Math.min(1000, told.candidates);
    const plain = fields.has("rules") ? { rules: "" } : {};
    const [pool, alone, own] = await Promise.all([
      post("/v1/recommend", { ...who, ...plain, k, filter_seen: false }, signal),
      post("/v1/rank", { ...who, items: [id], ...(fields.has("explain") ? { explain: true } : {}) }, signal),
      post("/v1/recommend", { ...who, ...plain, k: 1, include_items: [id] }, signal)]);
    const found = pool.items.find((one) => String(one.item_id) === String(id));
    const one = alone.items[0];
    const user = h("input", { id: "stands-for", type: "search", value: person.kind === "known" ? String(person.id) : "", autocomplete: "off", spellcheck: "false", placeholder: "user id" });
    const details = h("div");
    const whose = nameOf(person), n = count(pool.items.length, "candidate");
    show(place, h("form.joined", { onsubmit: (event) => { event.preventDefault(); if (user.value.trim()) location.hash = `${itemLink(id)}?user=${encodeURIComponent(user.value.trim())}`; } },
      h("label", { for: "stands-for" }, "For user"), user, h("button", { type: "submit" }, "Show")),
    h("p.verdict", {}, found ? [h("b", {}, `${ordinal(found.rank)} of ${n}`), ` for ${whose}; retrieval alone had it ${ordinal(found.retrieval_rank)}.`]
      : [h("b", {}, `Not among the ${n}`), ` for ${whose}: retrieval left it out. Ranking, asked about it alone, gives it the score ${number(one?.score)}${one?.predicted_rating != null ? ` and predicts the rating ${number(one.predicted_rating, 2)}` : ""}.`]),
    !own.items.length && note("info", h("b", {}, "They have it already, "), "so it is not recommended again; this is where it would stand."), details);
    if (one?.explanation) await parts(details, one, told, signal);
  } catch (error) {
    if (error.kind !== "aborted") show(place, failed(error, () => standing(place, id, query, told, signal)));
  }
}

async function search(place, query, signal) {
  const input = h("input", { id: "find", type: "search", value: query.get("search") ?? "", autocomplete: "off", placeholder: "Part of a title" });
  const results = h("div", {}, loading("the catalogue", 8));
  show(place, h("article.item", {}, h("h1", {}, "Items"), h("form.find", { role: "search", onsubmit: (event) => event.preventDefault() }, h("label", { for: "find" }, "Search the catalogue"), input), results));
  const find = async () => {
    const text = input.value.trim();
    try {
      const found = await get(`/v1/items?limit=60&search=${encodeURIComponent(text)}`, signal);
      if (input.value.trim() !== text) return;
      found.items.forEach(keep);
      history.replaceState(null, "", text ? `#/item?search=${encodeURIComponent(text)}` : "#/item");
      if (!found.total) { show(results, empty("Nothing by this name", "Try a shorter part of a title.")); return; }
      show(results, h("p.quiet", { role: "status" }, `${count(found.total, "item")}${found.total > found.items.length ? `, the first ${found.items.length} of them` : ""}`),
        h("ul.catalogue", {}, found.items.map(({ item_id: id }) => h("li", {}, h("a", { href: itemLink(id) }, titleOf(id)), h("small", {}, factsOf(id))))));
    } catch (error) {
      if (error.kind !== "aborted") show(results, failed(error, find));
    }
  };
  input.addEventListener("input", later(find, 120));
  await find();
}

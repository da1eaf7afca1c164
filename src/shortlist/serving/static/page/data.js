// What the views share: the model, the catalogue as far as it was seen, and who is looked at.

import { get, post, read, write } from "./api.js";

const items = new Map();  // id as text -> {item_id, attributes}
let told = null, fields = null;

/** The model that answers: `GET /v1/model`, asked once until `forget`. */
export function model() {
  return (told ??= get("/v1/model").catch((error) => { told = null; throw error; }));
}

/** The fields that a body of /v1/recommend may have. */
export function supported() {
  return (fields ??= get("/openapi.json").then(
    (document) => new Set(Object.keys(document.components.schemas.Recommend.properties)),
    (error) => { fields = null; throw error; }));
}

export function forget() {
  told = null;
  items.clear();
}

/** Learn the attributes of items; those known already are not asked for again. */
export async function learn(ids, signal) {
  const missing = [...new Map(ids.map((id) => [String(id), id])).values()].filter((id) => !items.has(String(id)));
  for (let begin = 0; begin < missing.length; begin += 1000) {
    const found = await post("/v1/items/lookup", { item_ids: missing.slice(begin, begin + 1000) }, signal);
    found.items.forEach(keep);
  }
}

export function keep(item) {
  items.set(String(item.item_id), item);
}

const NAMES = ["title", "name", "label", "headline", "product_name"];

export function known(id) {
  return items.get(String(id));
}

/** How an item is called: its title or name, else its id. */
export function titleOf(id) {
  const attributes = known(id)?.attributes ?? {};
  const column = NAMES.find((name) => typeof attributes[name] === "string" && attributes[name].trim());
  return column ? attributes[column] : `Item ${id}`;
}

/** Its other attributes in one short line. */
export function factsOf(id, most = 3) {
  const attributes = known(id)?.attributes ?? {};
  const named = NAMES.find((name) => typeof attributes[name] === "string");
  const shown = Object.entries(attributes)
    .filter(([name, value]) => name !== named && value !== null && value !== "" && !(Array.isArray(value) && !value.length))
    .map(([name, value]) => worded(value, name)).filter((text) => text.length <= 60)
    .filter((text, at, all) => !all.some((other, before) => before < at && text.includes(other)));
  return shown.slice(0, most).join(" · ");
}

export function worded(value, name = "") {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map((one) => worded(one)).join(", ");
  const called = name.replaceAll("_", " ");
  if (typeof value === "boolean") return called ? `${value ? "" : "not "}${called}` : value ? "yes" : "no";
  if (typeof value !== "number") return String(value);
  const figure = String(Number(value.toFixed(4)) || value);
  return called && !/year|date/i.test(called) ? `${called} ${figure}` : figure;
}

export function itemLink(id) {
  return `#/item/${encodeURIComponent(String(id))}`;
}

// Who is looked at: a user of the log or the store, or somebody new with a history made up in this page.

const BUILT = "shortlist-built";

export const built = {
  events: () => { try { return read(sessionStorage.getItem(BUILT) ?? "[]"); } catch { return []; } },
  set: (events) => sessionStorage.setItem(BUILT, write(events)),
  rate(id, rating) {
    const others = built.events().filter((event) => String(event.item_id) !== String(id));
    built.set(rating === undefined ? others : [...others, { item_id: id, rating }]);
  },
};

/** The part of a body that says who asks. */
export function asking(person) {
  if (person.kind === "known") return { user_id: person.id };
  const events = built.events();
  return { history: events.map(({ item_id, rating }) => ({ item_id, rating: rating ?? null })) };
}

/** The part of a body that says how. */
export function settingsOf(settings, fieldsKnown) {
  const body = { k: settings.k ?? 10 };
  if (settings.where) body.where = settings.where;
  if (settings.diversity > 0) body.diversity = settings.diversity;
  if (settings.explore > 0) body.explore = settings.explore;
  if (settings.cap) body.caps = { [settings.cap.attribute]: settings.cap.most };
  if (typeof settings.rules === "string") body.rules = settings.rules;
  for (const name of Object.keys(body)) if (!fieldsKnown.has(name)) delete body[name];
  return body;
}

// Settings of a list: filter, diversity, caps, exploration, rules. They live in the address, so that a list can be shared.

import { get } from "./api.js";
import { h, later, show } from "./dom.js";

export function settingsFrom(query, prefix = "") {
  const text = (name) => query.get(prefix + name) ?? "";
  const cap = text("cap").split(":");
  return {
    k: Number(text("k")) || 10,
    where: text("where"),
    diversity: Number(text("diversity")) || 0,
    explore: Number(text("explore")) || 0,
    cap: cap.length === 2 && cap[0] && Number(cap[1]) > 0 ? { attribute: cap[0], most: Number(cap[1]) } : null,
    rules: query.has(`${prefix}rules`) ? text("rules") : null,
    version: text("version"),
  };
}

export function intoQuery(settings, query, prefix = "") {
  const put = (name, value) => (value ? query.set(prefix + name, value) : query.delete(prefix + name));
  put("k", settings.k !== 10 && settings.k);
  put("where", settings.where);
  put("diversity", settings.diversity);
  put("explore", settings.explore);
  put("cap", settings.cap && `${settings.cap.attribute}:${settings.cap.most}`);
  put("version", settings.version);
  if (settings.rules === null || settings.rules === undefined) query.delete(`${prefix}rules`);
  else query.set(`${prefix}rules`, settings.rules);
  return query;
}

/** The controls for `settings`, which they change in place; `changed` is called after each change. */
export function controls(settings, told, fields, changed, { name = "", lengths = true } = {}) {
  const id = (what) => `${name}${what}`;
  const soon = later(changed, 250);
  const problem = h("p.problem", { id: id("where-problem"), role: "alert" });
  const where = h("input", {
    id: id("where"), type: "text", value: settings.where, spellcheck: "false", autocomplete: "off", placeholder: example(told.columns),
    "aria-describedby": id("where-problem"), oninput: () => { settings.where = where.value.trim(); soon(); },
  });
  const columns = Object.keys(told.columns).filter((column) => column !== "item_id");
  const attributes = h("p.attributes", {}, columns.slice(0, 8).map((column) =>
    h("button.chip", { type: "button", title: told.columns[column], "aria-label": `Put ${column} into the filter`, onclick: () => put(where, starter(column, told.columns[column], where.value)) }, column)));
  const dial = (label, what, words) => {
    const output = h("output", { for: id(what) }, words(settings[what]));
    const range = h("input", { id: id(what), type: "range", min: 0, max: 1, step: 0.05, value: settings[what], oninput: () => { settings[what] = Number(range.value); output.textContent = words(settings[what]); soon(); } });
    return h("div.field.dial", {}, h("label", { for: id(what) }, label), range, output);
  };
  const rest = [
    fields.has("explore") && dial("Exploration", "explore", (value) => (value ? value.toFixed(2) : "none")),
    fields.has("caps") && caps(settings, told, changed, id),
    lengths && h("div.field", {}, h("label", { for: id("k") }, "Length"), pick(id("k"), [5, 10, 20, 50].map((k) => [k, String(k)]), settings.k, (value) => { settings.k = Number(value); changed(); })),
    fields.has("rules") && rules(settings, changed, id),
  ].filter(Boolean);
  const open = settings.explore || settings.cap || settings.rules !== null;
  const box = h("div.controls", {},
    h("div.field.wide", {}, h("label", { for: id("where") }, "Only items where"), where, columns.length ? attributes : null, problem),
    fields.has("diversity") && dial("Diversity", "diversity", (value) => (value ? value.toFixed(2) : "none")),
    rest.length > 0 && h("details.more", { open: Boolean(open) }, h("summary", {}, "More settings"), h("div.rest", {}, rest)));
  function put(input, text) {
    input.value = text;
    input.focus();
    input.dispatchEvent(new Event("input"));
  }
  return { box, complain: (text) => { problem.textContent = text; where.toggleAttribute("aria-invalid", Boolean(text)); } };
}

function pick(id, options, value, chosen) {
  return h("select", { id, onchange: (event) => chosen(event.target.value) },
    options.map(([one, label]) => h("option", { value: one, selected: String(one) === String(value) }, label)));
}

function caps(settings, told, changed, id) {
  const groups = Object.keys(told.columns).filter((column) => column !== "item_id" && !/^title$|Date/.test(column + told.columns[column]));
  const attribute = pick(id("cap"), [["", "no limit"], ...groups.map((one) => [one, one])], settings.cap?.attribute ?? "", () => set());
  const most = h("input", { id: id("cap-most"), type: "number", min: 1, max: 50, value: settings.cap?.most ?? 3, "aria-label": "At most so many of each", onchange: () => set() });
  const set = () => { settings.cap = attribute.value ? { attribute: attribute.value, most: Math.max(1, Number(most.value) || 3) } : null; changed(); };
  return h("div.field", {}, h("label", { for: id("cap") }, "At most of each"), h("div.joined", {}, most, attribute));
}

function rules(settings, changed, id) {
  const text = h("textarea", { id: id("rules-text"), rows: 8, spellcheck: "false", "aria-label": "Rules for this list, as TOML", oninput: later(() => { settings.rules = text.value; changed(); }, 500) });
  const told = h("p.quiet");
  const own = h("div", { hidden: true }, text);
  const mode = settings.rules === null ? "live" : settings.rules === "" ? "none" : "own";
  let live = "";
  const choose = (value) => {
    own.hidden = value !== "own";
    if (value === "own") text.value = settings.rules || live;
    settings.rules = value === "live" ? null : value === "none" ? "" : text.value;
  };
  const select = pick(id("rules"), [["live", "those of the server"], ["none", "none"], ["own", "try others …"]], mode, (value) => { choose(value); changed(); });
  choose(mode);
  get("/v1/rules").then((answer) => {
    live = answer.text || "";
    const n = answer.rules?.length;
    const findings = (answer.findings ?? []).map((finding) => finding.message ?? String(finding));
    show(told, live ? [`The server follows ${n === undefined ? "a file of rules" : n === 1 ? "one rule" : `${n} rules`}.`, findings.length ? ` ${findings.join(" ")}` : ""] : "The server has no rules now.");
  }, () => show(told));
  return h("div.field.rules", {}, h("label", { for: id("rules") }, "Rules"), select, told, own);
}

function starter(column, type, before) {
  const begin = before.trim() ? `${before.trim()} and ` : "";
  if (type.startsWith("List")) return `${begin}'…' in ${column}`;
  if (/Int|Float/.test(type)) return `${begin}${column} >= `;
  return `${begin}${column} == '…'`;
}

function example(columns) {
  const [name, type] = Object.entries(columns).find(([column, kind]) => column !== "item_id" && /Int|Float/.test(kind)) ?? [];
  return name ? `for example: ${name} >= ${/year/.test(name) ? 1990 : 1}` : "for example: item_id != 1";
}

// Settings of a list: filter, diversity, caps, exploration, rules. They live in the address, so that a list can be shared.

import { get } from "./api.js";
import { h, later, paced, show } from "./dom.js";

/** The settings that an address names; numbers are brought into their ranges. */
export function settingsFrom(query, prefix = "") {
  const text = (name) => query.get(prefix + name) ?? "";
  const within = (name, low, high, usual) => Math.min(high, Math.max(low, Number(text(name)) || usual));
  const [, attribute, most] = /^(.+):(\d+)$/.exec(text("cap")) ?? [];
  return {
    k: Math.round(within("k", 1, 1000, 10)),
    where: text("where"),
    diversity: within("diversity", 0, 1, 0),
    explore: within("explore", 0, 1, 0),
    cap: attribute && Number(most) > 0 ? { attribute, most: Math.min(50, Number(most)) } : null,
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
  const problems = { where: problem(id("where-problem")), rules: problem(id("rules-problem")), caps: problem(id("caps-problem")) };
  const typed = later(changed, 150), moved = paced(changed, 120);
  const where = h("input", {
    id: id("where"), type: "text", value: settings.where, spellcheck: "false", autocomplete: "off", placeholder: example(told.columns),
    "aria-describedby": id("where-problem"), oninput: () => { settings.where = where.value.trim(); typed(); },
  });
  const columns = Object.keys(told.columns).filter((column) => column !== "item_id");
  const attributes = h("p.attributes", {}, columns.slice(0, 8).map((column) =>
    h("button.chip", { type: "button", title: told.columns[column], "aria-label": `Put ${column} into the filter`, onclick: () => begin(where, starter(column, told.columns[column])) }, column)));
  const dial = (label, what) => {
    const worded = (value) => (value ? value.toFixed(2) : "none");
    const output = h("output", { for: id(what) }, worded(settings[what]));
    const range = h("input", { id: id(what), type: "range", min: 0, max: 1, step: 0.05, value: settings[what], oninput: () => { settings[what] = Number(range.value); output.textContent = worded(settings[what]); moved(); } });
    return h("div.field.dial", {}, h("label", { for: id(what) }, label), range, output);
  };
  const rest = [
    fields.has("explore") && dial("Exploration", "explore"),
    fields.has("caps") && caps(settings, told, changed, id, problems.caps),
    lengths && h("div.field", {}, h("label", { for: id("k") }, "Length"), pick(id("k"), lengthsWith(settings.k), settings.k, (value) => { settings.k = Number(value); changed(); })),
    fields.has("rules") && rules(settings, changed, id, problems.rules),
  ].filter(Boolean);
  const open = settings.explore || settings.cap || settings.rules !== null;
  const box = h("div.controls", {},
    h("div.field.wide", {}, h("label", { for: id("where") }, "Only items where"), where, columns.length ? attributes : null, problems.where),
    fields.has("diversity") && dial("Diversity", "diversity"),
    rest.length > 0 && h("details.more", { open: Boolean(open) }, h("summary", {}, "More settings"), h("div.rest", {}, rest)));
  /** Says what is wrong beside the control that it is about; the text begins with its name. */
  function complain(text) {
    const about = /^(rules|caps)\b/.exec(text)?.[1] ?? "where";
    for (const [what, place] of Object.entries(problems)) place.textContent = what === about ? text : "";
    where.toggleAttribute("aria-invalid", Boolean(text) && about === "where");
  }
  return { box, where, complain };
}

function problem(id) {
  return h("p.problem", { id, role: "alert" });
}

function lengthsWith(own) {
  return [...new Set([5, 10, 20, 50, own])].sort((a, b) => a - b).map((k) => [k, String(k)]);
}

/** Puts the beginning of a condition behind what is there; it is asked when somebody goes on. */
function begin(input, text) {
  const before = input.value.trim();
  input.value = before ? `${before} and ${text}` : text;
  input.focus();
  const gap = input.value.lastIndexOf("…");
  if (gap >= 0) input.setSelectionRange(gap, gap + 1);
  else input.dispatchEvent(new Event("input"));
}

function pick(id, options, value, chosen) {
  return h("select", { id, onchange: (event) => chosen(event.target.value) },
    options.map(([one, label]) => h("option", { value: one, selected: String(one) === String(value) }, label)));
}

function caps(settings, told, changed, id, problem) {
  const groups = Object.keys(told.columns).filter((column) => column !== "item_id" && !/^title$|Date/.test(column + told.columns[column]));
  const attribute = pick(id("cap"), [["", "no limit"], ...groups.map((one) => [one, one])], settings.cap?.attribute ?? "", () => set());
  const most = h("input", { id: id("cap-most"), type: "number", min: 1, max: 50, value: settings.cap?.most ?? 3, "aria-label": "At most so many of each", onchange: () => set() });
  const set = () => { settings.cap = attribute.value ? { attribute: attribute.value, most: Math.max(1, Number(most.value) || 3) } : null; changed(); };
  return h("div.field", {}, h("label", { for: id("cap") }, "At most of each"), h("div.joined", {}, most, attribute), problem);
}

function rules(settings, changed, id, problem) {
  const text = h("textarea", { id: id("rules-text"), rows: 8, spellcheck: "false", "aria-label": "Rules for this list, as TOML", "aria-describedby": id("rules-problem"), placeholder: "[[bury]]\nwhere = \"item_id == 1\"", oninput: later(() => { settings.rules = text.value; changed(); }, 500) });
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
  return h("div.field.rules", {}, h("label", { for: id("rules") }, "Rules"), select, told, own, problem);
}

function starter(column, type) {
  if (/Int|Float/.test(type)) return `${column} >= …`;
  if (type === "Boolean") return column;
  return /String/.test(type) ? `'…' in ${column}` : `${column} >= '…'`;
}

function example(columns) {
  const [name, type] = Object.entries(columns).find(([column, kind]) => column !== "item_id" && /Int|Float/.test(kind)) ?? [];
  return name ? `for example: ${name} >= ${/year/.test(name) ? 1990 : 1}` : "for example: item_id != 1";
}

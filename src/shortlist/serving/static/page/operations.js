// Operations: what the server does now, from /metrics, and which version answers.

import { get, post } from "./api.js";
import { model } from "./data.js";
import { announce, count, h, integer, number, percent, show, svg } from "./dom.js";
import { failed, note } from "./states.js";

const EVERY_MS = 2000, KEPT = 60;

export async function view(place, { signal }) {
  const now = h("div.tiles"), stages = h("div"), flow = h("div"), versions = h("div"), said = h("div.notes", { role: "status" });
  const seen = [];
  const [told, models] = await Promise.all([model(), get("/v1/models", signal)]);
  show(place, h("article.operations", {}, h("h1", {}, "The server now"), said, now,
    h("div.columns", {}, h("section", {}, h("h2", {}, "Time of each stage"), stages), h("section", {}, h("h2", {}, "Events and refusals"), flow)),
    h("section", {}, h("h2", {}, "Versions"), versions)));
  drawVersions(versions, told, models, said, signal);
  const look = async () => {
    try {
      seen.push({ at: performance.now(), ...read(await get("/metrics", signal)) });
      if (seen.length > KEPT) seen.shift();
      draw(seen, now, stages, flow);
      timer = setTimeout(look, EVERY_MS);
    } catch (error) {
      if (error.kind !== "aborted") show(now, failed(error, look));
    }
  };
  let timer = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  await look();
}

/** The lines of the exposition format: name -> [{labels, value}]. */
export function read(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return { found };
}

function sum(sample, name, keep = () => true) {
  return (sample.found.get(`shortlist_${name}`) ?? []).filter((one) => keep(one.labels)).reduce((all, one) => all + one.value, 0);
}

/** A quantile of a histogram, by going straight through its bucket. */
export function quantile(sample, name, q, keep) {
  const buckets = new Map();
  for (const { labels, value } of sample.found.get(`shortlist_${name}_bucket`) ?? [])
    if (keep(labels)) buckets.set(labels.le, (buckets.get(labels.le) ?? 0) + value);
  const sorted = [...buckets].map(([le, n]) => [le === "+Inf" ? Infinity : Number(le), n]).sort((a, b) => a[0] - b[0]);
  const total = sorted.at(-1)?.[1] ?? 0;
  if (!total) return null;
  let low = 0, before = 0;
  for (const [high, n] of sorted) {
    if (n >= q * total) return high === Infinity ? low : low + ((high - low) * (q * total - before)) / Math.max(n - before, 1e-9);
    [low, before] = [high, n];
  }
  return low;
}

const answers = (labels) => labels.route?.startsWith("/v1/recommend") || labels.route === "/v1/rank";

function draw(seen, now, stages, flow) {
  const last = seen.at(-1);
  const rates = (name, keep) => seen.slice(1).map((one, at) => Math.max(0, sum(one, name, keep) - sum(seen[at], name, keep)) / ((one.at - seen[at].at) / 1000));
  const api = (labels) => labels.route?.startsWith("/v1/");
  const requests = rates("requests_total", api), events = rates("events_total", (labels) => labels.status === "stored");
  const rungs = sum(last, "rungs_total"), ranked = sum(last, "rungs_total", (labels) => labels.rung === "ranking");
  const half = quantile(last, "request_seconds", 0.5, answers), most = quantile(last, "request_seconds", 0.95, answers);
  show(now,
    tile("Requests per second", requests.length ? number(requests.at(-1), 2) : "…", `${integer(sum(last, "requests_total", api))} since the start`, requests),
    tile("An answer takes", ms(half), `95 % within ${ms(most)}`),
    tile("Answered by a fallback", rungs ? percent(1 - ranked / rungs) : "–", rungs ? `${integer(rungs - ranked)} of ${count(rungs, "answer")}` : "no answers yet", null, rungs && ranked / rungs < 0.95),
    tile("Events per second", events.length ? number(events.at(-1), 2) : "…", `${integer(sum(last, "events_total", (labels) => labels.status === "stored"))} stored since the start`, events));
  const kinds = ["retrieval", "ranking"];
  const known = [...new Set([...kinds, ...(last.found.get("shortlist_stage_seconds_count") ?? []).map((one) => one.labels.stage)])];
  show(stages, table(["Stage", "runs", "half within", "95 % within", "failed or late"], known.map((stage) => {
    const of = (labels) => labels.stage === stage;
    return [stage, integer(sum(last, "stage_seconds_count", of)), ms(quantile(last, "stage_seconds", 0.5, of)), ms(quantile(last, "stage_seconds", 0.95, of)), integer(sum(last, "degraded_total", of))];
  })), h("p.quiet", {}, "From the buckets of the histograms, so a little coarse."));
  const rows = [
    ...(last.found.get("shortlist_events_total") ?? []).map((one) => [`events, ${one.labels.status}`, integer(one.value)]),
    ...(last.found.get("shortlist_rungs_total") ?? []).map((one) => [`answers by ${one.labels.rung.replaceAll("_", " ")}`, integer(one.value)]),
    ...(last.found.get("shortlist_refusals_total") ?? []).map((one) => [`refused, ${one.labels.cause.replaceAll("-", " ")}`, integer(one.value)]),
    ["waiting for their commit", integer(sum(last, "store_queued"))], ["queries waiting", integer(sum(last, "queries_waiting"))],
  ];
  show(flow, table(["What", "since the start"], rows));
}

function ms(seconds) {
  return seconds === null ? "–" : `${number(seconds * 1000, 2)} ms`;
}

function tile(name, value, more, line = null, warn = false) {
  return h(`div.tile${warn ? ".warn" : ""}`, {}, h("p.name", {}, name), h("p.value", {}, value), line && line.length > 1 ? spark(line) : null, h("p.quiet", {}, more));
}

function spark(values) {
  const most = Math.max(...values, 0.001), step = 100 / (KEPT - 1), from = 100 - step * (values.length - 1);
  const points = values.map((value, at) => `${(from + at * step).toFixed(2)},${(27 - (25 * value) / most).toFixed(2)}`);
  return svg("svg", { class: "spark", viewBox: "0 0 100 28", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("polyline", { points: points.join(" ") }));
}

function table(heads, rows) {
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": heads[0] }, h("table", {}, h("thead", {}, h("tr", {}, heads.map((text, at) => h("th", { scope: "col", class: at ? "n" : null }, text)))),
    h("tbody", {}, rows.map(([first, ...others]) => h("tr", {}, h("th", { scope: "row" }, first), others.map((text) => h("td.n", {}, text)))))));
}

function drawVersions(place, told, models, said, signal) {
  show(place, h("ul.versions", {}, models.versions.map((version) => {
    const serving = version === models.serving, previous = version === models.previous;
    return h("li", {}, h("code", {}, version),
      h("span.what", {}, serving && h("b.tag", {}, "answers now"), version === models.refused && h("b.tag.lost", {}, "refused"), previous && !serving && h("b.tag.other", {}, "the one before"),
        serving && h("small.quiet", {}, ` ${told.preset}, target ${told.target}, since ${new Date(told.loaded_at).toLocaleString("en-GB")}`)),
      serving ? null : h("button", { type: "button", onclick: (event) => promote(event.target, version, previous) }, previous ? "Roll back to it" : "Promote", h("span.hidden", {}, ` version ${version}`)));
  })), models.versions.length < 2 && h("p.quiet", {}, "Only one version is kept. `shortlist train --out` adds the next one."));
  async function promote(button, version, back, force = false) {
    button.disabled = true;
    try {
      const done = await post(`/v1/models/${version}/promote${force ? "?force=true" : ""}`, undefined, signal);
      show(said, note("good", `${version.slice(0, 8)} answers now, instead of ${done.before.slice(0, 8)}. ${done.judgement ?? ""}`, ...(done.faults ?? [])));
      announce("Promoted");
      dispatchEvent(new Event("shortlist-model"));
      const [next, kept] = await Promise.all([model(), get("/v1/models", signal)]);
      drawVersions(place, next, kept, said, signal);
    } catch (error) {
      button.disabled = false;
      if (error.kind === "aborted") return;
      show(said, h("div.note.warn", {}, h("b", {}, `Not ${back ? "rolled back" : "promoted"}. `), error.detail || error.title,
        error.kind === "model-refused" && !force && h("p.buttons", {}, h("button", { type: "button", onclick: () => promote(button, version, back, true) }, `${back ? "Roll back" : "Promote"} in spite of this`))));
    }
  }
}

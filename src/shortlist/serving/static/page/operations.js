// Operations: what the server does now, from /metrics, and which version answers.

import { get } from "./api.js";
import { model } from "./data.js";
import { count, h, integer, number, percent, renew, show, svg } from "./dom.js";
import { table } from "./figures.js";
import { between, quantile, read, rows, sum } from "./metrics.js";
import { failed } from "./states.js";
import { versionList } from "./versions.js";

const EVERY_MS = 2000, KEPT = 60;

export async function view(place, { signal }) {
  const now = h("div.tiles"), stages = h("div"), flow = h("div"), versions = h("div"), said = h("div.notes", { role: "status" }), lost = h("div.notes");
  const seen = [];
  const [told, models] = await Promise.all([model(), get("/v1/models", signal)]);
  show(place, h("article.operations", {}, h("h1", {}, "The server now"), said, lost, now,
    h("div.columns", {}, h("section", {}, h("h2", {}, "Time of each stage"), stages), h("section", {}, h("h2", {}, "Events, answers, refusals"), flow)),
    h("section", {}, h("h2", {}, "Versions"), versions)));
  versionList(versions, told, models, said, signal);
  const look = async () => {
    try {
      const found = read(await get("/metrics", signal));
      seen.push({ at: performance.now(), found });
      if (seen.length > KEPT) seen.shift();
      show(lost);
      draw(seen, now, stages, flow);
      timer = setTimeout(look, EVERY_MS);
    } catch (error) {
      if (error.kind !== "aborted") show(lost, failed(error, look));  // the figures of before stay
    }
  };
  let timer = 0;
  signal.addEventListener("abort", () => clearTimeout(timer));
  await look();
}

const answers = (labels) => labels.route?.startsWith("/v1/recommend") || labels.route === "/v1/rank";
const api = (labels) => labels.route?.startsWith("/v1/");
const stored = (labels) => labels.status === "stored";

function draw(seen, now, stages, flow) {
  const all = seen.at(-1).found, lately = between(seen[0].found, all);
  const busy = sum(lately, "rungs_total") > 0;  // else nothing was answered since the page looks: what was before
  const since = busy ? `in the last ${integer((seen.at(-1).at - seen[0].at) / 1000)} s` : "since the start";
  tiles(now, seen, all, busy ? lately : all, since);
  stageTimes(stages, all, busy ? lately : all, since);
  renew(flow, table("Events, answers, refusals", ["What", "since the start"], [
    ...rows(all, "events_total").map((one) => [`events, ${one.labels.status}`, integer(one.value)]),
    ["events waiting for their commit", integer(sum(all, "store_queued"))],
    ...rows(all, "rungs_total").map((one) => [`answers by ${one.labels.rung.replaceAll("_", " ")}`, integer(one.value)]),
    ["queries waiting", integer(sum(all, "queries_waiting"))],
    ...rows(all, "refusals_total").map((one) => [`refused, ${one.labels.cause.replaceAll("-", " ")}`, integer(one.value)]),
  ]));
}

function tiles(place, seen, all, found, since) {
  const rates = (name, keep) => seen.slice(1).map((one, at) => sum(between(seen[at].found, one.found), name, keep) / ((one.at - seen[at].at) / 1000));
  const requests = rates("requests_total", api), events = rates("events_total", stored);
  const rungs = sum(found, "rungs_total"), fallbacks = rungs - sum(found, "rungs_total", (labels) => labels.rung === "ranking");
  renew(place,
    tile("Requests per second", requests.length ? number(requests.at(-1), 2) : "…", `${integer(sum(all, "requests_total", api))} since the start`, requests),
    tile("An answer takes", ms(quantile(found, "request_seconds", 0.5, answers)), `95 % within ${ms(quantile(found, "request_seconds", 0.95, answers))}, ${since}`),
    tile("Answered by a fallback", rungs ? percent(fallbacks / rungs) : "–", rungs ? `${integer(fallbacks)} of ${count(rungs, "answer")} ${since}` : "no answers yet", null, rungs && fallbacks / rungs > 0.05),
    tile("Events per second", events.length ? number(events.at(-1), 2) : "…", `${integer(sum(all, "events_total", stored))} stored since the start`, events));
}

function stageTimes(place, all, found, since) {
  const names = [...new Set(["retrieval", "ranking", ...rows(all, "stage_seconds_count").map((one) => one.labels.stage)])];
  renew(place, table("Time of each stage", ["Stage", "runs", "half within", "95 % within", "failed or late"], names.map((stage) => {
    const of = (labels) => labels.stage === stage;
    return [stage, integer(sum(found, "stage_seconds_count", of)), ms(quantile(found, "stage_seconds", 0.5, of)), ms(quantile(found, "stage_seconds", 0.95, of)), integer(sum(found, "degraded_total", of))];
  })), h("p.quiet", {}, `Of answers ${since}; from the buckets of histograms, so a little coarse.`));
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

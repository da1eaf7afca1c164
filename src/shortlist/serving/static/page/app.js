// The frame: which view is shown, the key, the model's name in the corner.

import { ask, key } from "./api.js";
import { forget, model } from "./data.js";
import { announce, h, integer, show } from "./dom.js";
import { failed, loading } from "./states.js";

const VIEWS = {
  explore: ["Explore", () => import("./explore.js")],
  compare: ["Compare", () => import("./compare.js")],
  item: ["Items", () => import("./item.js")],
  quality: ["Quality", () => import("./quality.js")],
  operations: ["Operations", () => import("./operations.js")],
};
const place = document.getElementById("view");
let leave = null, shown = "";

async function route() {
  const [path, query = ""] = (location.hash.slice(1) || "/explore").split("?");
  const [, name = "explore", ...rest] = path.split("/");
  const [title, load] = VIEWS[name] ?? VIEWS.explore;
  const moved = shown !== path;
  leave?.abort();
  leave = new AbortController();
  const signal = leave.signal;
  document.title = `${title} · Shortlist`;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#/${name in VIEWS ? name : "explore"}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (moved) show(place, loading(title.toLowerCase()));
  try {
    const view = await load();
    if (signal.aborted) return;
    await view.view(place, { rest: rest.map(decoded), query: new URLSearchParams(query), signal });
    if (shown && moved) { place.focus({ preventScroll: true }); scrollTo(0, 0); announce(`${title} shown`); }
    shown = path;
    corner();
  } catch (error) {
    if (signal.aborted || error.kind === "aborted") return;
    if (!error.kind) console.error(error);
    show(place, failed(error.kind ? error : { kind: "page", title: "This page failed", detail: String(error) }, error.kind ? again : () => location.reload()));
  }
}

function again() {
  shown = "";
  route();
}

/** A part of an address as it was meant; one that was cut or mistyped stays as it is. */
function decoded(part) {
  try { return decodeURIComponent(part); } catch { return part; }
}

async function corner() {
  const told = await model().catch(() => null);
  if (!told) return;
  show(document.getElementById("model"), h("span", { title: `version ${told.version}` },
    `${told.preset} · ${integer(told.items)} items · ${integer(told.users)} users · `, h("code", {}, told.version.slice(0, 8))));
}

let asked = null;

/** One dialog, however many requests were refused at once. */
ask.forKey = (problem) => (asked ??= dialogue(problem).finally(() => { asked = null; }));

function dialogue(problem) {
  const dialog = document.getElementById("key"), value = document.getElementById("key-value");
  document.getElementById("key-title").textContent = problem.status === 403 ? "This needs another key" : "This server asks for a key";
  document.getElementById("key-why").textContent = problem.status === 403 ? problem.detail
    : key.get() ? "The key that was used is not valid." : "What the page shows is read with a key of the scope “read”.";
  value.value = "";
  return new Promise((settle) => {
    dialog.addEventListener("close", () => {
      const given = dialog.returnValue === "use" && value.value.trim();
      if (given) key.set(given);
      settle(Boolean(given));
    }, { once: true });
    dialog.returnValue = "";
    dialog.showModal();
    value.focus();
  });
}

addEventListener("hashchange", route);
addEventListener("shortlist-model", () => { forget(); corner(); });
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); place.focus(); });
await route();
for (const [, load] of Object.values(VIEWS)) load().catch(() => null);  // so that they are there when the server is not

// The versions that are kept, to promote or roll back to.

import { get, post } from "./api.js";
import { model } from "./data.js";
import { announce, h, show } from "./dom.js";
import { note } from "./states.js";

export function versionList(place, told, models, said, signal) {
  show(place, h("ul.versions", {}, models.versions.map((version) => {
    const serving = version === models.serving, previous = version === models.previous;
    return h("li", {}, h("code", {}, version),
      h("span.what", {}, serving && h("b.tag", {}, "answers now"), version === models.refused && h("b.tag.lost", {}, "refused"), previous && !serving && h("b.tag.other", {}, "the one before"),
        serving && h("small.quiet", {}, ` ${told.preset}, target ${told.target}, since ${new Date(told.loaded_at).toLocaleString("en-GB")}`)),
      serving ? null : h("button", { type: "button", onclick: (event) => promote(event.target, version, previous) }, previous ? "Roll back to it" : "Promote", h("span.hidden", {}, ` version ${version}`)));
  })), models.versions.length < 2 && h("p.quiet", {}, "Only one version is kept. ", h("code", {}, "shortlist train --out"), " adds the next one."));
  async function promote(button, version, back, force = false) {
    button.disabled = true;
    try {
      const done = await post(`/v1/models/${version}/promote${force ? "?force=true" : ""}`, undefined, signal);
      show(said, note("good", `${version.slice(0, 8)} answers now, instead of ${done.before.slice(0, 8)}. ${done.judgement ?? ""}`, ...(done.faults ?? [])));
      announce("Promoted");
      dispatchEvent(new Event("shortlist-model"));
      const [next, kept] = await Promise.all([model(), get("/v1/models", signal)]);
      versionList(place, next, kept, said, signal);
    } catch (error) {
      button.disabled = false;
      if (error.kind === "aborted") return;
      show(said, h("div.note.warn", {}, h("b", {}, `Not ${back ? "rolled back" : "promoted"}. `), error.detail || error.title,
        error.kind === "model-refused" && !force && h("p.buttons", {}, h("button", { type: "button", onclick: () => promote(button, version, back, true) }, `${back ? "Roll back" : "Promote"} in spite of this`))));
    }
  }
}

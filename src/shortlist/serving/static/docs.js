"use strict";

function element(name, text, parent) {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function field(label, value, parent, kind = "input") {
  const line = element("label", label + " ", parent);
  const input = element(kind, "", line);
  input.value = value;
  return input;
}

async function send(method, path, fields, body, output) {
  let address = path;
  const query = new URLSearchParams();
  for (const { spec, input } of fields) {
    if (spec.in === "path") address = address.replace(`{${spec.name}}`, encodeURIComponent(input.value));
    else if (input.value !== "") query.set(spec.name, input.value);
  }
  if ([...query].length) address += "?" + query;
  const headers = {};
  const key = document.getElementById("key").value;
  if (key) headers.Authorization = "Bearer " + key;
  if (body) headers["Content-Type"] = "application/json";
  output.textContent = "…";
  try {
    const response = await fetch(address, { method, headers, body: body ? body.value : undefined });
    const text = await response.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON */ }
    output.textContent = `${response.status} ${response.statusText}\n${shown}`;
  } catch (error) {
    output.textContent = String(error);
  }
}

function show(path, method, operation, parent) {
  const box = element("details", "", parent);
  const summary = element("summary", "", box);
  element("code", `${method.toUpperCase()} ${path}`, summary);
  summary.append(" " + operation.summary);
  element("p", operation.description, box);
  const fields = (operation.parameters || []).map((spec) => (
    { spec, input: field(spec.name, spec.schema.default ?? "", box) }));
  const content = operation.requestBody && operation.requestBody.content["application/json"];
  const body = content && field("Body", JSON.stringify(content.example ?? {}, null, 2), box, "textarea");
  const button = element("button", "Send", box);
  const output = element("pre", "", box);
  button.addEventListener("click", () => send(method.toUpperCase(), path, fields, body, output));
}

async function main() {
  const place = document.getElementById("operations");
  const response = await fetch("/openapi.json");
  const described = await response.json();
  place.textContent = "";
  for (const [path, operations] of Object.entries(described.paths))
    for (const [method, operation] of Object.entries(operations)) show(path, method, operation, place);
  element("h2", "Types", place);
  for (const [name, schema] of Object.entries(described.components.schemas)) {
    const box = element("details", "", place);
    element("summary", name, box);
    element("pre", JSON.stringify(schema, null, 2), box);
  }
}

main();

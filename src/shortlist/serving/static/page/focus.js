// The focus of the keyboard stays where it was when a part of the page is drawn anew.

const CONTROLS = "a[href], button, input, select, textarea, summary, [tabindex='0']";

function controls(place) {
  return [...place.querySelectorAll(CONTROLS)];
}

/** The parts of a list that belong to one item each, and can be used. */
function rows(place) {
  return [...place.querySelectorAll("[data-id]")].filter((row) => row.querySelector(CONTROLS));
}

/** Notes where in a place the focus is. What it returns puts it back after a change: onto the control of the same id, else
 *  onto the same control of the same item, or of the item that came in its place, else onto the nearest control or region. */
export function heldFocus(place) {
  const held = document.activeElement;
  if (!held || held === place || !place.contains(held)) return () => {};
  const row = rows(place).find((one) => one.contains(held));
  const inside = row ? controls(row).indexOf(held) : controls(place).indexOf(held);
  const at = row ? rows(place).indexOf(row) : 0;
  return () => {
    if (place.contains(document.activeElement)) return;
    const next = byId(held.id) ?? (row ? inRow(place, row.dataset.id, at, inside) : null) ?? nearest(controls(place), inside) ?? region(place);
    next.focus({ preventScroll: true });
  };
}

/** What a place without controls belongs to. */
function region(place) {
  const found = place.closest("section, main");
  found.tabIndex = -1;
  return found;
}

function byId(id) {
  return id ? document.getElementById(id) : null;
}

function inRow(place, id, at, inside) {
  const now = rows(place);
  const row = now.find((one) => one.dataset.id === id) ?? nearest(now, at);
  return row ? nearest(controls(row), inside) : null;
}

function nearest(list, at) {
  return list[Math.min(Math.max(at, 0), list.length - 1)] ?? null;
}

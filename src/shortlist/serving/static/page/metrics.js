// What /metrics tells, in the text format of Prometheus: counters, and quantiles out of the buckets of histograms.

/** One look: name -> [{labels, value}]. */
export function read(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!match) continue;
    const labels = Object.fromEntries([...(match[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, name, value]) => [name, value]));
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push({ labels, value: Number(match[3]) });
  }
  return found;
}

export function rows(found, name) {
  return found.get(`shortlist_${name}`) ?? [];
}

export function sum(found, name, keep = () => true) {
  return rows(found, name).reduce((all, { labels, value }) => all + (keep(labels) ? value : 0), 0);
}

/** What was counted between two looks. A server that was started anew began at nothing. */
export function between(before, after) {
  return new Map([...after].map(([name, list]) => {
    const old = new Map((before.get(name) ?? []).map(({ labels, value }) => [JSON.stringify(labels), value]));
    return [name, list.map(({ labels, value }) => ({ labels, value: value - Math.min(value, old.get(JSON.stringify(labels)) ?? 0) }))];
  }));
}

/** The value, in seconds, that a share `q` of what a histogram counted is not above; straight between the bounds of its bucket. */
export function quantile(found, name, q, keep) {
  const buckets = new Map();
  for (const { labels, value } of rows(found, `${name}_bucket`))
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

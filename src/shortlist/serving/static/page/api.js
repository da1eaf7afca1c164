// The public HTTP interface: keys, errors as one type, waiting told to the page, integers of 64 bits kept whole.

const KEY = "shortlist-key";
const SLOW_MS = 250, GIVE_UP_MS = 20000;
let waiting = 0, slow = 0;

/** What went wrong, in words for people. `kind` is the problem's type, "unreachable" or "aborted". */
export class Problem extends Error {
  constructor(kind, title, detail, status = 0, retryAfter = 0) {
    super(detail || title);
    Object.assign(this, { kind, title, detail, status, retryAfter });
  }
}

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => (value ? sessionStorage.setItem(KEY, value) : sessionStorage.removeItem(KEY)),
};

/** Called with a Problem when a key is needed; resolves to whether there is another one now. */
export const ask = { forKey: async () => false };

export const get = (path, signal) => send("GET", path, undefined, signal);
export const post = (path, body, signal) => send("POST", path, body, signal);

async function send(method, path, body, signal, again = true) {
  const used = key.get();
  const headers = used ? { Authorization: `Bearer ${used}` } : {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const limit = AbortSignal.timeout(GIVE_UP_MS);
  let response, text;
  begin();
  try {
    response = await fetch(path, {
      method, headers, body: body === undefined ? undefined : write(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    text = await response.text();
  } catch (error) {
    if (signal && signal.aborted) throw new Problem("aborted", "No longer wanted", "");
    const late = error.name === "TimeoutError";
    throw new Problem("unreachable", late ? "The server takes too long" : "The server does not answer",
      late ? "There was no answer within 20 seconds." : "It may have stopped, or the connection to it is lost.");
  } finally {
    end();
  }
  if (response.ok) return (response.headers.get("content-type") || "").includes("json") ? read(text) : text;
  const problem = problemOf(response, text);
  const mayHelp = problem.status === 401 || (problem.status === 403 && problem.kind === "forbidden");
  if (again && mayHelp && (key.get() !== used || await ask.forKey(problem))) return send(method, path, body, signal, false);
  throw problem;
}

function problemOf(response, text) {
  let told = {};
  try { told = JSON.parse(text); } catch { /* something between us and the server answered */ }
  const kind = String(told.type || "").replace("urn:shortlist:problem:", "") || `status-${response.status}`;
  return new Problem(kind, told.title || `Status ${response.status}`, told.detail || "", response.status,
    Number(response.headers.get("retry-after")) || 0);
}

function begin() {
  waiting += 1;
  if (waiting === 1) slow = setTimeout(() => document.body.classList.add("waiting"), SLOW_MS);
}

function end() {
  waiting -= 1;
  if (waiting) return;
  clearTimeout(slow);
  document.body.classList.remove("waiting");
}

// Ids may have 64 bits, more than a JavaScript number holds.
const LONG = /[:[,]\s*-?\d{16,}\s*[,}\]]/;

export function read(text) {
  if (!LONG.test(text)) return JSON.parse(text);
  return JSON.parse(text, (name, value, context) =>
    typeof value === "number" && context && /^-?\d{16,}$/.test(context.source) && !Number.isSafeInteger(value)
      ? BigInt(context.source) : value);
}

export function write(body) {
  return JSON.stringify(body, (name, value) => (typeof value === "bigint" ? JSON.rawJSON(String(value)) : value));
}

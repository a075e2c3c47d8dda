// What is shown, as the address says it: a link to this page is a link to this search, and the back button works.

const FILTERS = ["folder", "after", "before", "orientation", "min_size", "max_size", "name", "caption"];
const NUMBERS = new Set(["min_size", "max_size"]);
const VIEWS = new Set(["duplicates", "library"]);
const listeners = new Set();
let current = null;

/**
 * A state of the page:
 * - view: "photos", "duplicates" or "library"
 * - q: a sentence; like: the id of a photograph; image: an uploaded one, as images.js writes it
 * - plus, minus: {text} or {photo}
 * - filters: those of the service's searches
 * - min: "model" (it chooses), null (none) or the least score
 * - fold: of photographs that look the same show the best alone
 * - likeness: the least score of duplicates, or null
 * - model: a name, or null; open: the id of the photograph in the viewer, or null
 */
export function empty() {
  return {
    view: "photos", q: "", like: null, image: null, plus: [], minus: [], filters: {}, min: "model",
    fold: false, likeness: null, model: null, open: null,
  };
}

export function get() {
  current ??= read(location.search);
  return current;
}

/** Whether something is searched for; otherwise the newest photographs are shown. */
export function asks(state) {
  return state.q !== "" || state.like !== null || state.image !== null || state.plus.length + state.minus.length > 0;
}

/** What decides which photographs are shown, as a text: the viewer may open and close over them. */
export function searchKey(state) {
  return write({ ...state, open: null });
}

/** The address of a state, below this one. */
export function write(state) {
  const params = new URLSearchParams();
  const set = (name, value) => {
    if (value !== null && value !== undefined && value !== "") params.append(name, value);
  };
  if (state.view !== "photos") set("view", state.view);
  set("q", state.q);
  set("like", state.like);
  set("image", state.image);
  for (const sign of ["plus", "minus"]) {
    for (const part of state[sign]) set(part.text === undefined ? `${sign}-photo` : sign, part.text ?? part.photo);
  }
  for (const name of FILTERS) set(name, state.filters[name]);
  if (state.min !== "model") set("min", state.min ?? "none");
  if (state.fold) set("fold", 1);
  set("likeness", state.likeness);
  set("model", state.model);
  set("open", state.open);
  const text = params.toString();
  return text === "" ? "/" : `/?${text}`;
}

export function read(search) {
  const params = new URLSearchParams(search);
  const state = empty();
  if (VIEWS.has(params.get("view"))) state.view = params.get("view");
  state.q = params.get("q")?.trim() ?? "";
  state.like = whole(params.get("like"));
  state.image = params.get("image");
  for (const sign of ["plus", "minus"]) {
    state[sign] = [
      ...params.getAll(sign).filter((text) => text.trim() !== "").map((text) => ({ text })),
      ...params.getAll(`${sign}-photo`).map(whole).filter((id) => id !== null).map((photo) => ({ photo })),
    ];
  }
  for (const name of FILTERS) {
    const value = NUMBERS.has(name) ? whole(params.get(name)) : params.get(name);
    if (value) state.filters[name] = value;
  }
  state.min = least(params.get("min"));
  state.fold = params.get("fold") === "1";
  state.likeness = between(params.get("likeness"), 0.5, 1); // as the service takes it
  state.model = params.get("model");
  state.open = whole(params.get("open"));
  return state;
}

/** Change the state. `replace` makes no step for the back button; `again` asks anew for what is shown already. */
export function go(change, { replace = false, again = false } = {}) {
  const next = { ...get(), ...change };
  const address = write(next);
  if (address === write(get())) {
    if (again) tell({ back: false, again });
    return;
  }
  if (replace) {
    history.replaceState(history.state, "", address);
  } else {
    history.replaceState({ ...history.state, y: scrollY }, "");
    history.pushState({ step: true }, "", address);
  }
  current = next;
  tell({ back: false });
}

/** Undo the step that opened something, or, where a link led right to it, step out of it. */
export function leave(change) {
  if (history.state?.step) history.back();
  else go(change, { replace: true });
}

/** Call `listener(state, {back, y, again})` after every change; `y` is where a step back had been scrolled to. */
export function subscribe(listener) {
  listeners.add(listener);
}

function tell(how) {
  for (const listener of listeners) listener(current, how);
}

window.addEventListener("popstate", (event) => {
  current = read(location.search);
  tell({ back: true, y: event.state?.y ?? 0 });
});

function whole(text) {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

function between(text, least, most) {
  const value = Number.parseFloat(text);
  return Number.isFinite(value) ? Math.min(most, Math.max(least, value)) : null;
}

function least(text) {
  if (text === "none") return null;
  return between(text, -1, 1) ?? "model";
}

// Brings the parts together: a change of the state becomes photographs, and what somebody does a change of the state.

import * as bring from "./bring.js";
import { byId, many } from "./dom.js";
import * as duplicates from "./duplicates.js";
import * as filters from "./filters.js";
import { Grid } from "./grid.js";
import * as library from "./library.js";
import * as links from "./links.js";
import { Lost } from "./lost.js";
import { headings } from "./months.js";
import { Newcomers } from "./newcomers.js";
import { between, noNote, note, tell } from "./note.js";
import { Picks } from "./picks.js";
import * as pulse from "./pulse.js";
import * as query from "./query.js";
import * as refine from "./refine.js";
import { forget, resultsOf } from "./results.js";
import { empty, get, go, leave, searchKey, subscribe, write } from "./state.js";
import * as theme from "./theme-switch.js";
import { Viewer } from "./viewer.js";

const TITLES = { photos: "Photographs", duplicates: "Duplicates", library: "Library" };

const ASKED = 10_000; // ids that the service takes at one time

let results = null;
let shownKey = null;

const like = (photo, { fold } = get()) => {
  go({ ...empty(), like: photo.id, filters: get().filters, model: get().model, fold });
  byId("main").focus({ preventScroll: true });
  scrollTo(0, 0);
};
const newcomers = new Newcomers({ results: () => results, take: takeIn });
const picks = new Picks();
const grid = new Grid(byId("grid"), {
  picks,
  link: (photo) => write({ ...get(), open: photo.id }),
  open: (photo) => go({ open: photo.id }),
  like,
  alike: (photo) => like(photo, { fold: false }),
});
const lost = new Lost({
  shown: () => {
    const groups = get().view === "duplicates" ? duplicates.photos() : [];
    const ids = [...viewer.shown(), ...(results?.items ?? []), ...groups].map((one) => one.id);
    return [...new Set(ids)].slice(0, ASKED);
  },
  mark: (ids) => {
    results?.lose(ids);
    grid.mark(ids);
    duplicates.mark(ids);
    viewer.lose(ids);
    picks.drop(ids);
  },
  drop: dropLost,
});
const sight = new IntersectionObserver((entries) => {
  if (entries.at(-1).isIntersecting && results?.begun) more();
}, { rootMargin: "1200px" });
const viewer = new Viewer({
  closed: () => leave({ open: null }),
  moved: (photo) => go({ open: photo.id }, { replace: true }),
  like,
  unknown: (sentence) => {
    go({ open: null }, { replace: true });
    between("This photograph is not in the library", sentence);
  },
  state: get,
});

function show(state, { back = false, y = 0, again = false } = {}) {
  byId("query").value = state.q;
  document.title = state.q === "" ? (state.view === "photos" ? "Sterna" : `${TITLES[state.view]} · Sterna`) : `${state.q} · Sterna`;
  byId("title").textContent = TITLES[state.view];
  for (const link of document.querySelectorAll("nav [data-go]")) {
    if (link.dataset.go === state.view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  refine.show(state);
  filters.show(state);
  for (const view of ["duplicates", "library"]) byId(view).hidden = state.view !== view;
  byId("grid").hidden = byId("end").hidden = state.view !== "photos";
  const key = searchKey(state);
  if (key !== shownKey || again) {
    shownKey = key;
    noNote();
    showView(state, { fresh: !back });
    newcomers.rest();
    lost.rest();
    picks.clear();
    viewer.lose(null);
    if (back) requestAnimationFrame(() => scrollTo(0, y));
    else if (state.open === null) scrollTo(0, 0);
  }
  showViewer(state);
}

function showView(state, { fresh = false } = {}) {
  if (state.view === "photos") {
    showPhotos(state, { fresh });
    return;
  }
  results?.stop();
  results = null;
  grid.clear();
  byId("below").hidden = true;
  if (state.view === "duplicates") duplicates.show(state, { ...sayFor("duplicates"), picks, fresh });
  else library.show({ ...sayFor("library"), changed: indexed, forget: forgetAll });
}

/** For answers that may come late: what they say is said only while their view is shown. */
function sayFor(view) {
  const only = (say) => (what) => {
    if (get().view === view) say(what);
  };
  return { tell: only(tell), trouble: only(trouble) };
}

function showPhotos(state, { fresh }) {
  results?.stop();
  results = resultsOf(state, { fresh });
  grid.clear({ heading: months() });
  byId("below").hidden = true;
  if (results.begun) {
    grid.append(results.items);
    count();
    lookForEnd();
  } else {
    byId("grid").setAttribute("aria-busy", "true");
    tell(results.searched ? "Searching…" : "");
    more();
  }
}

/** Put in what has come since; `take` changes what is listed. */
function takeIn(take) {
  take();
  noNote();
  grid.update(results.items, { heading: months() });
  count();
  lookForEnd();
}

/** What comes before each photograph: of the newest ones, their months. */
const months = () => (results.searched ? undefined : headings(results.state));

/** Take away what is no more. */
function dropLost(ids) {
  if (results === null) return; // groups of duplicates are compared anew when they are shown again
  results.drop(ids);
  grid.update(results.items, { heading: months() });
  count();
  lookForEnd();
}

/** The line at the end may still be near, and then nothing tells that it is: have it told. */
function lookForEnd() {
  sight.unobserve(byId("end"));
  sight.observe(byId("end"));
}

/** Load and show the next page. */
async function more() {
  const own = results;
  if (own === null || own.complete) return;
  const shared = own.loading !== null; // whoever asked first shows it
  try {
    const fresh = await own.more();
    if (own !== results || shared) return;
    grid.append(fresh);
    count();
    lookForEnd();
  } catch (error) {
    if (own === results && !shared) trouble(error);
  } finally {
    if (own === results) byId("grid").removeAttribute("aria-busy");
  }
}

function count() {
  const { length } = results.items;
  const { state, least } = results;
  if (state.min === "model") refine.chosen(least, { searched: results.searched });
  byId("below").hidden = !results.complete || length === 0 || state.min !== "model" || least === null;
  if (length === 0) {
    nothing(state);
    return;
  }
  const number = many(length, "photograph");
  if (length === 1 && results.complete) tell(number);
  else if (results.searched) tell(results.complete ? `${number}, best first` : `The best ${number} so far`);
  else tell(results.complete ? `${number}, newest first` : "Newest first");
}

function nothing(state) {
  tell("No photographs found.");
  const filtered = Object.keys(state.filters).length > 0;
  const clear = { label: "Clear filters", act: () => goAnd({ filters: {} }) };
  if (!results.searched) {
    if (filtered) note("No photograph passes these filters", [], [clear]);
    else emptyLibrary();
    return;
  }
  const buttons = filtered ? [clear] : [];
  if (results.nearest !== null) {
    buttons.unshift({ label: "Show the nearest anyway", act: () => goAnd({ min: null }, { replace: true }) });
    note("Nothing here looks like that", [`The nearest photograph scores ${results.nearest.toFixed(2)}.`, "Other words may find it."], buttons);
  } else {
    note("Nothing was found", [filtered ? "No photograph passes these filters." : "Try other words."], buttons);
  }
}

/** For buttons that vanish with what they do: the focus goes on to the photographs. */
function goAnd(change, how) {
  go({ open: null, ...change }, how);
  byId("main").focus({ preventScroll: true });
}

function emptyLibrary() {
  tell("");
  note(
    "No photographs yet",
    ["Tell Sterna where yours are (with the same --library as this service, if it has one):", "sterna index ~/Pictures", "They appear here by themselves, the newest first."],
    [{ label: "Look again", act: () => changed() }, { label: "Add a folder", act: () => goAnd({ ...empty(), view: "library" }) }],
  );
  byId("note").querySelectorAll("p")[1].className = "code";
}

/** Say what went wrong in the place of what was asked for. */
function trouble(error) {
  if (error.name === "AbortError") return;
  if (error.kind === "library" && /nothing is indexed/i.test(error.message)) {
    emptyLibrary();
    return;
  }
  tell("");
  const title = error.kind === "unknown-photo" ? "This photograph is not in the library" : "That did not work";
  note(title, [error.status === undefined ? "The page met an error that it did not expect." : error.message], [
    { label: "Try again", act: () => changed() },
    { label: "Start anew", act: () => goAnd(empty()) },
  ]);
  if (error.status === undefined) console.error(error);
}

/** A run of indexing has ended. Who looks at photographs meanwhile is left in peace. */
function indexed() {
  if (get().view === "library") changed();
  else forgetAll();
}

function forgetAll() {
  forget();
  duplicates.forget();
}

/** The library may have changed: show it as it is now. */
function changed() {
  forgetAll();
  noNote();
  showView(get(), { fresh: true });
  newcomers.rest();
  lost.rest();
}

function showViewer(state) {
  if (state.open !== null) {
    const among =
      state.view === "duplicates"
        ? { items: duplicates.groupOf(state.open), more: null }
        : { items: results?.items ?? [], more: results === null || results.complete ? null : () => more() };
    viewer.show(state.open, among);
  } else if (viewer.isOpen) {
    const id = viewer.close();
    // back to the photograph that was looked at last
    const list = state.view === "photos" ? byId("grid") : byId("duplicates");
    const tile = list.querySelector(`.tile[data-id="${Number(id)}"] .photo`);
    (tile ?? byId("main")).focus();
  }
}

query.setUp();
links.setUp();
refine.setUp();
byId("show-below").addEventListener("click", () => goAnd({ min: null }, { replace: true }));
filters.setUp({ trouble });
bring.setUp({ busy: tell, trouble });
theme.setUp();
pulse.setUp((generation) => {
  newcomers.look(generation);
  lost.look(generation);
  filters.renew(generation);
});
subscribe(show);
history.scrollRestoration = "manual";
show(get());

// Photographs of a state, page by page. The last few searches are kept, so that the back button is instant; what
// is asked anew is looked for anew.

import { ask, Problem } from "./api.js";
import { vector } from "./images.js";
import { asks, searchKey } from "./state.js";

const PAGE = 60;
const MOST = 200; // that the service tells at one time
const KEPT = 12;
const START = ""; // the cursor of the first page of a search
const kept = new Map();

/** Photographs that were found: `items` so far, `more()` for the next page. */
class Results {
  constructor(state) {
    this.state = state;
    this.items = [];
    this.nearest = null; // where nothing was found: what the nearest scores
    this.least = null; // the least score that counted
    this.begun = false;
    this.next = null;
    this.loading = null;
    this.gone = new Set(); // ids of photographs that are no more: those behind them have moved up
    this.stopped = new AbortController();
  }

  get searched() {
    return asks(this.state);
  }

  get complete() {
    return this.begun && this.next === null;
  }

  /** Load the next page; returns its photographs. Calls that come meanwhile get the same ones. */
  more() {
    if (this.complete) return Promise.resolve([]);
    this.loading ??= this.#load().finally(() => {
      this.loading = null;
    });
    return this.loading;
  }

  stop() {
    this.stopped.abort();
  }

  /**
   * The newest photographs as they are now, where those are what is listed: {fresh, same, take}.
   * `fresh` are those that have come, `same` says that nothing is different, `take()` puts them in.
   */
  async news() {
    const { signal } = this.stopped;
    const before = this.items;
    const { complete } = this;
    const count = Math.min(MOST, Math.max(PAGE, before.length));
    const { photos, next } = await ask(listing(this.state, 0, count), { signal, once: true });
    const ids = (list) => list.slice(0, count).map((one) => one.id).join();
    const shown = new Set(before.map((one) => one.id));
    // where some were deleted, others move up from behind the last that is shown: those are just further pages
    const last = photos.findLastIndex((one) => shown.has(one.id));
    const fresh = photos.slice(0, complete || last < 0 ? undefined : last).filter((one) => !shown.has(one.id));
    // what was shown behind them comes anew when somebody scrolls there: it may have moved, or be gone
    const take = () => Object.assign(this, { items: [...photos], next, begun: true });
    return { fresh, same: this.begun && ids(before) === ids(photos), take };
  }

  /** These photographs are no more, so the next page begins earlier; what repeats is left out. */
  lose(ids) {
    const gone = new Set(ids);
    const lost = this.items.filter(({ id }) => gone.has(id) && !this.gone.has(id));
    for (const { id } of lost) this.gone.add(id);
    if (lost.length === 0 || this.next === null) return;
    // a cursor cannot be moved back: a search is read again from its first page
    this.next = this.searched ? START : Math.max(0, this.next - lost.length);
  }

  /** Take away photographs that are no more. */
  drop(ids) {
    this.lose(ids);
    const gone = new Set(ids);
    this.items = this.items.filter((one) => !gone.has(one.id));
  }

  async #load() {
    const { fresh, taken } = await this.#page();
    // pages that were read already are passed over, up to one that has something
    return taken && fresh.length === 0 && this.searched && !this.complete ? this.#load() : fresh;
  }

  /** Read one page; returns its photographs, and whether the answer was taken. */
  async #page() {
    const { signal } = this.stopped;
    const { items } = this;
    const known = this.gone.size;
    const answer = this.searched
      ? await ask("/api/search", { method: "POST", json: question(this.state, this.next), signal })
      : await ask(listing(this.state, this.next), { signal });
    // others were taken in meanwhile, or some are gone, and this page may not be the next of them
    if (items !== this.items || known !== this.gone.size) return { fresh: [], taken: false };
    const shown = new Set(items.map((one) => one.id)); // pages shift where photographs come meanwhile
    const fresh = (answer.hits ?? answer.photos).filter((one) => !shown.has(one.id));
    items.push(...fresh);
    this.begun = true;
    this.next = answer.next;
    this.nearest = answer.nearest ?? null;
    this.least = answer.min_score ?? null;
    return { fresh, taken: true };
  }
}

/** The results of a state: those kept from before, or new ones that are yet to be loaded. */
export function resultsOf(state, { fresh = false } = {}) {
  const key = searchKey(state);
  const known = kept.get(key);
  if (!fresh && known?.begun) {
    known.stopped = new AbortController();
    return known;
  }
  kept.delete(key);
  const results = new Results(state);
  kept.set(key, results);
  if (kept.size > KEPT) kept.delete(kept.keys().next().value);
  return results;
}

/** Forget what was found: the library has changed. */
export const forget = () => kept.clear();

function question(state, cursor) {
  const asked = { k: PAGE, min_score: state.min, filters: state.filters, plus: state.plus, minus: state.minus };
  if (state.q !== "") asked.text = state.q;
  if (state.like !== null) Object.assign(asked, { photo: state.like, exclude_self: true });
  if (state.image !== null) {
    asked.vector = vector(state.image);
    if (asked.vector === null) throw new Problem(422, "The image in this address cannot be read.", "invalid");
  }
  if (state.fold) asked.fold = true;
  if (state.model !== null) asked.model = state.model;
  if (cursor !== null && cursor !== START) asked.cursor = cursor;
  return asked;
}

function listing(state, offset, count = PAGE) {
  const params = new URLSearchParams({ k: count, offset: offset ?? 0, ...state.filters });
  return `/api/photos?${params}`;
}

// Photographs that come while the newest ones are shown: taken in by themselves where that disturbs nobody, and
// offered by a button where somebody is looking.

import { byId, el, many } from "./dom.js";

const SHARE = 30; // so many times as long as a look takes is waited at least: a large library has other things to do
const LONGEST = 60_000; // a machine that slept meanwhile makes a look seem to take hours
const TOP = 40; // pixels that count as the top of the page

/** `results()` are those that are shown, or null; `take(take)` shows what has come. */
export class Newcomers {
  constructor({ results, take }) {
    this.results = results;
    this.take = take;
    this.rest();
  }

  /** Something else is shown: look from now on whether it grows. */
  rest() {
    this.#offer(null);
    this.seen = null; // the generation of the library that is shown
    this.due = 0;
  }

  /** Look whether something has come, where the library is another one by now. */
  async look(generation) {
    const own = this.results();
    if (own === null || own.searched || own.loading !== null) return;
    if (generation === this.seen || performance.now() < this.due) return;
    const begun = performance.now();
    this.due = begun + LONGEST; // one look at a time
    try {
      const news = await own.news();
      if (own === this.results() && this.#show(own, news)) this.seen = generation;
    } catch {
      // nothing is indexed yet, or the server is gone, which the page says elsewhere
    }
    const took = performance.now() - begun;
    if (own === this.results()) this.due = begun + Math.min(LONGEST, SHARE * took);
  }

  /** Show what has come; returns whether all of it is shown. */
  #show(own, { fresh, same, take }) {
    const takeIn = () => {
      this.#offer(null);
      this.take(take);
    };
    if (same) this.#offer(null);
    else if (!own.begun || undisturbed()) takeIn();
    else {
      this.#offer(fresh.length > 0 ? fresh.length : null, takeIn);
      return false;
    }
    return true;
  }

  #offer(count, takeIn) {
    const place = byId("news");
    if (count === null) {
      place.replaceChildren();
      return;
    }
    const label = many(count, "new photograph");
    if (place.textContent === label) place.firstElementChild.onclick = () => this.#go(takeIn);
    else place.replaceChildren(el("button", { onclick: () => this.#go(takeIn) }, label));
  }

  /** The button vanishes, and the focus goes on to the photographs. */
  #go(takeIn) {
    takeIn();
    scrollTo(0, 0);
    byId("main").focus({ preventScroll: true });
  }
}

/** Whether photographs may move: nobody has gone into them, and no pointer is on its way to one. */
export function undisturbed() {
  const grid = byId("grid");
  return (
    scrollY < TOP && document.querySelector("dialog[open]") === null && !grid.contains(document.activeElement) && !grid.matches(":hover")
  );
}

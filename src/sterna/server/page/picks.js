// Photographs that somebody has picked: their paths are copied, or their files downloaded.

import { original, zipped } from "./api.js";
import { byId, isTyping, many } from "./dom.js";

const MOST = 500; // files that the service puts into one
const TOLD = 4000; // milliseconds that is said what was done
const tiles = () => [...document.querySelectorAll("#grid .tile:not(.lost), #duplicates .tile:not(.lost)")].filter((one) => one.checkVisibility({ contentVisibilityAuto: false }));

export class Picks {
  constructor() {
    this.photos = new Map(); // by id, in the order in which they were picked
    this.shown = new WeakMap(); // by tile: its photograph
    this.from = null; // the id from which a range goes
    this.timer = null;
    byId("picks-copy").addEventListener("click", () => this.#copy());
    byId("picks-clear").addEventListener("click", () => {
      this.clear();
      byId("main").focus({ preventScroll: true });
    });
    byId("picks-download").addEventListener("click", (event) => {
      if (this.photos.size > MOST) event.preventDefault();
    });
    document.addEventListener("keydown", (event) => this.#key(event));
  }

  get some() {
    return this.photos.size > 0;
  }

  has(id) {
    return this.photos.has(id);
  }

  /** A tile shows a photograph from now on. */
  adopt(tile, photo) {
    this.shown.set(tile, photo);
    this.#paint(tile);
  }

  /** Pick a tile's photograph, or pick it no more; with `range`, all from the last one to it are picked. */
  toggle(tile, { range = false } = {}) {
    const photo = this.shown.get(tile);
    if (photo === undefined || tile.classList.contains("lost")) return;
    const all = tiles();
    const from = range ? all.findIndex((one) => this.shown.get(one)?.id === this.from) : -1;
    if (from >= 0) {
      getSelection()?.removeAllRanges(); // of text, which a click with Shift selects as well
      const to = all.indexOf(tile);
      const between = all.slice(Math.min(from, to), Math.max(from, to) + 1);
      for (const one of from > to ? between.reverse() : between) this.#add(this.shown.get(one));
    } else if (this.photos.has(photo.id)) {
      this.photos.delete(photo.id);
    } else {
      this.#add(photo);
    }
    this.from = photo.id;
    this.#tell();
  }

  /** Pick these no more: they are gone. */
  drop(ids) {
    for (const id of ids) this.photos.delete(id);
    this.#tell();
  }

  clear() {
    this.from = null; // also where none is picked any more: a range goes from nothing that is not shown
    if (!this.some) return;
    this.photos.clear();
    this.#tell();
  }

  #add(photo) {
    if (photo !== undefined) this.photos.set(photo.id, photo);
  }

  #paint(tile) {
    const photo = this.shown.get(tile);
    if (photo === undefined) return;
    const on = this.photos.has(photo.id);
    tile.classList.toggle("picked", on);
    tile.querySelector(".pick")?.setAttribute("aria-pressed", String(on));
  }

  #tell() {
    const count = this.photos.size;
    for (const tile of document.querySelectorAll(".tile")) this.#paint(tile);
    document.body.classList.toggle("picking", count > 0);
    const bar = byId("picks");
    if (count === 0 && bar.contains(document.activeElement)) byId("main").focus({ preventScroll: true });
    bar.hidden = count === 0;
    this.#say(count === 0 ? "" : `${count.toLocaleString()} selected`);
    const link = byId("picks-download");
    const ids = [...this.photos.keys()];
    const [first] = this.photos.values();
    const fits = count > 0 && count <= MOST;
    link.title = count > MOST ? `${MOST} at most can be downloaded at one time` : "";
    link.classList.toggle("off", !fits);
    if (fits) {
      link.href = count === 1 ? original(ids[0]) : zipped(ids);
      link.download = count === 1 ? first.path.slice(first.path.lastIndexOf("/") + 1) : "photographs.zip";
      link.removeAttribute("aria-disabled");
    } else {
      link.removeAttribute("href");
      link.setAttribute("aria-disabled", "true");
      if (count > MOST) this.#say(`${count.toLocaleString()} selected; ${MOST} at most can be downloaded at one time`);
    }
  }

  #say(sentence) {
    clearTimeout(this.timer);
    byId("picks-told").textContent = sentence;
  }

  /** Say for a moment what was done. */
  #done(sentence) {
    this.#say(sentence);
    this.timer = setTimeout(() => this.#tell(), TOLD);
  }

  async #copy() {
    const { size } = this.photos;
    const paths = [...this.photos.values()].map((one) => oneLine(one.path)).join("\n");
    this.#done((await copied(paths)) ? `${many(size, "path")} copied` : "Your browser does not let the page copy");
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || isTyping(event.target)) return;
    if (document.querySelector("dialog[open]") !== null) return;
    const tile = event.target.closest?.(".tile") ?? null;
    if (event.key.toLowerCase() === "x" && tile !== null) {
      event.preventDefault();
      this.toggle(tile, { range: event.shiftKey });
    } else if (event.key === "Escape" && this.some && (tile !== null || byId("picks").contains(event.target))) {
      this.clear();
    }
  }
}

/** A path as one line: what would begin another, or command a terminal, becomes the sign of what is unreadable. */
const oneLine = (path) => path.replace(/[\p{Cc}\u2028\u2029]/gu, "\uFFFD");

/** Put a text on the clipboard; returns whether it is there. */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // not over plain HTTP from another machine: there the old way still works
  }
  const before = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  before?.focus({ preventScroll: true });
  return done;
}

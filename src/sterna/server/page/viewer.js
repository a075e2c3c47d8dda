// One photograph, large: a dialog over the page, with what is known of it, and a way to its neighbours.

import { ask, original, thumbnail } from "./api.js";
import { byId, el, isTyping } from "./dom.js";
import { fileName, said } from "./grid.js";
import { Heat } from "./heat.js";

const LARGE = 1024; // the server's largest small picture
const SHOWN = /\.(jpe?g|png|webp|gif|avif|bmp)$/i; // what browsers show as it is
const LARGER = 2; // times its pixels, at most: beyond that there is nothing to see but squares
const SWIPE = 60; // pixels
const LOST = "This photograph is no longer there. It was deleted or moved away.";
const isLost = ({ kind, message }) => kind === "unknown-photo" || (kind === "photo-not-there" && /no such file/i.test(message));
const UNKNOWN = "It was deleted or moved away, or never was there.";
const REST = 250; // milliseconds on a photograph before its whole file is asked for

/**
 * `closed()` is called when somebody closes it, `moved(photo)` when they go to a neighbour, `like(photo)` when
 * they ask for more like it; `unknown(sentence)` when there is none; `state()` is what is searched for.
 */
export class Viewer {
  constructor({ closed, moved, like, state, unknown }) {
    this.dialog = byId("viewer");
    this.moved = moved;
    this.wanted = null; // the id that the address says; its photograph may still be on its way
    this.photo = null;
    this.resting = null;
    this.whole = null;
    this.items = [];
    this.more = null;
    this.gone = new Set(); // ids of photographs that are no more
    this.state = state;
    this.unknown = unknown;
    this.heat = new Heat({ model: () => state().model });
    byId("viewer-close").addEventListener("click", closed);
    byId("viewer-before").addEventListener("click", () => this.move(-1));
    byId("viewer-next").addEventListener("click", () => this.move(1));
    byId("viewer-info").addEventListener("click", () => this.#details());
    byId("viewer-like").addEventListener("click", () => {
      if (this.photo !== null) like(this.photo);
    });
    this.dialog.addEventListener("cancel", (event) => {
      event.preventDefault(); // the address decides whether it is open
      closed();
    });
    this.dialog.addEventListener("keydown", (event) => this.#key(event));
    this.#swipes();
  }

  get isOpen() {
    return this.dialog.open;
  }

  /** Show a photograph among `items`, which `more()` makes longer; one that is not among them stands alone. */
  async show(id, { items, more }) {
    this.items = items;
    this.more = more;
    if (!this.dialog.open) {
      this.dialog.showModal();
      byId("viewer-close").focus();
      this.heat.suggest(this.state().q);
    }
    this.wanted = id;
    if (this.photo?.id === id) return;
    const known = items.find((one) => one.id === id);
    if (known !== undefined) {
      this.#turn(known);
      return;
    }
    this.#empty();
    try {
      const photo = await ask(`/api/photos/${id}`);
      if (this.wanted === id) this.#turn(photo);
    } catch (error) {
      if (this.wanted !== id) return;
      if (error.kind === "unknown-photo") this.unknown(UNKNOWN);
      else this.#trouble(error.message);
    }
  }

  /** Show nothing, and nothing that is known of the photograph before. */
  #empty() {
    this.#rest();
    this.photo = null;
    this.heat.turn(null);
    byId("viewer-trouble").hidden = true;
    byId("viewer-photo").removeAttribute("src");
    byId("viewer-name").textContent = "Photograph";
    byId("viewer-said").textContent = "";
    byId("viewer-side").hidden = true;
    for (const button of ["viewer-before", "viewer-next"]) byId(button).classList.add("none");
  }

  /** The photograph that is shown, in a list, or none. */
  shown() {
    return this.photo === null ? [] : [this.photo];
  }

  /** These are no more; `null` forgets which they were. */
  lose(ids) {
    if (ids === null) this.gone.clear();
    else for (const id of ids) this.gone.add(id);
    if (this.photo !== null && this.gone.has(this.photo.id)) this.#lost();
  }

  /** Say that what is shown is no more, and offer nothing that needs it. */
  #lost() {
    this.#rest();
    this.heat.turn(null);
    byId("viewer-said").textContent = LOST;
    this.#trouble(LOST);
    byId("viewer-side").classList.add("bare");
  }

  /** Close it; returns the id of the photograph that was shown, or null. */
  close() {
    const id = this.photo?.id ?? null;
    this.wanted = null;
    this.#empty();
    if (this.dialog.open) this.dialog.close();
    return id;
  }

  async move(way) {
    const { photo } = this;
    const place = this.items.findIndex((one) => one.id === photo?.id);
    if (place < 0) return;
    if (way > 0 && place + 1 >= this.items.length) await this.more?.();
    if (this.photo !== photo) return;
    const next = this.items[place + way];
    if (next !== undefined) this.moved(next);
  }

  #turn(photo) {
    this.#rest();
    this.photo = photo;
    this.heat.turn(photo);
    byId("viewer-trouble").hidden = true;
    byId("viewer-side").hidden = false;
    byId("viewer-side").classList.remove("bare");
    this.#picture(photo);
    this.#facts(photo);
    const place = this.items.findIndex((one) => one.id === photo.id);
    // a button that is disabled loses the focus: it stays, and does nothing
    byId("viewer-before").classList.toggle("none", place <= 0);
    byId("viewer-next").classList.toggle("none", place < 0 || (place + 1 >= this.items.length && this.more === null));
    byId("viewer-said").textContent = place < 0 ? fileName(photo) : `${fileName(photo)}, ${place + 1} of ${this.items.length}`;
    if (this.gone.has(photo.id)) this.#lost();
    for (const way of [1, -1]) {
      const near = this.items[place + way];
      if (place >= 0 && near?.online) new Image().src = thumbnail(near.id, LARGE);
    }
    if (place >= 0 && place + 6 > this.items.length) this.more?.();
  }

  #picture(photo) {
    const image = byId("viewer-photo");
    image.alt = said(photo);
    image.width = photo.width;
    image.height = photo.height;
    byId("stage").style.setProperty("--most-wide", `${photo.width * LARGER}px`);
    byId("stage").style.setProperty("--most-high", `${photo.height * LARGER}px`);
    if (!photo.online) {
      image.removeAttribute("src");
      this.#trouble("The drive of this photograph is not there now.");
      return;
    }
    image.classList.add("turning"); // a browser shows the picture before until this one has come
    image.onload = () => image.classList.remove("turning");
    image.src = thumbnail(photo.id, LARGE);
    image.onerror = () => {
      if (this.photo === photo && image.hasAttribute("src")) this.#missing(photo);
    };
    if (Math.max(photo.width, photo.height) > LARGE && SHOWN.test(photo.path)) {
      this.resting = setTimeout(() => this.#sharpen(photo), REST); // who walks on does not wait for it
    }
  }

  /** Ask no more for the whole file of the photograph before. */
  #rest() {
    clearTimeout(this.resting);
    if (this.whole !== null) this.whole.src = "";
    this.whole = null;
  }

  /** The whole file takes its time, and takes the place of the small picture when it is ready. */
  async #sharpen(photo) {
    const whole = (this.whole = new Image());
    whole.src = original(photo.id);
    try {
      await whole.decode();
    } catch {
      return; // the small picture does as well
    }
    if (this.photo === photo) byId("viewer-photo").src = whole.src;
  }

  async #missing(photo) {
    const place = thumbnail(photo.id, LARGE);
    try {
      await ask(place, { bare: true }); // where the service was gone, this waits until it is back
    } catch (error) {
      if (this.photo !== photo) return;
      if (isLost(error)) this.lose([photo.id]);
      else this.#trouble(error.status === undefined ? "This photograph cannot be shown now." : error.message);
      return;
    }
    if (this.photo !== photo) return;
    const image = byId("viewer-photo");
    image.onerror = () => {
      if (this.photo === photo && image.hasAttribute("src")) this.#trouble("This photograph cannot be shown now.");
    };
    image.src = `${place}&again`;
  }

  #trouble(sentence) {
    byId("viewer-photo").removeAttribute("src");
    byId("viewer-trouble").textContent = sentence;
    byId("viewer-trouble").hidden = false;
  }

  #facts(photo) {
    byId("viewer-name").textContent = fileName(photo);
    byId("viewer-captions").replaceChildren(...photo.captions.map((caption) => el("li", {}, caption)));
    byId("viewer-captions").hidden = photo.captions.length === 0;
    const facts = [
      ["Taken", photo.taken_at === null ? null : moment(photo.taken_at)],
      ["File date", photo.taken_at !== null || !photo.file_date ? null : moment(photo.file_date)],
      ["Size", `${photo.width} × ${photo.height}`],
      ["File", `${photo.root.name}/${photo.path}`],
      ["Also at", photo.also?.join("\n") || null],
      ["Score", photo.score === undefined ? null : photo.score.toFixed(3)],
    ].filter(([, value]) => value !== null);
    byId("viewer-facts").replaceChildren(
      ...facts.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", { data: name === "File" ? { path: "yes" } : {} }, value))),
    );
    this.#wholePath(photo);
    const link = byId("viewer-original");
    link.href = original(photo.id);
    link.download = fileName(photo);
    link.hidden = !photo.online;
  }

  /** The folder that it lies in is known by its name; where that is on this machine, the library tells. */
  async #wholePath(photo) {
    try {
      const roots = await (this.roots ??= ask("/api/status", { once: true }).then((status) => status.roots));
      const root = roots.find((one) => one.id === photo.root.id);
      const place = [...byId("viewer-facts").querySelectorAll("dd")].find((one) => one.dataset.path);
      if (this.photo === photo && root !== undefined && place) place.textContent = `${root.path}/${photo.path}`;
    } catch {
      this.roots = null; // its name will do
    }
  }

  #details() {
    const closed = this.dialog.classList.toggle("alone");
    byId("viewer-info").setAttribute("aria-expanded", String(!closed));
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || isTyping(event.target)) return;
    const way = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (way !== undefined) {
      event.preventDefault();
      this.move(way);
    } else if (event.key === "i") {
      this.#details();
    }
  }

  #swipes() {
    let from = null;
    const stage = byId("stage");
    stage.addEventListener("touchstart", (event) => {
      from = event.touches.length === 1 ? event.touches[0] : null; // two fingers make it larger
    }, { passive: true });
    stage.addEventListener("touchend", (event) => {
      if (from === null) return;
      const [to] = event.changedTouches;
      const [across, down] = [to.clientX - from.clientX, to.clientY - from.clientY];
      if (Math.abs(across) > SWIPE && Math.abs(across) > 2 * Math.abs(down)) this.move(across < 0 ? 1 : -1);
      from = null;
    }, { passive: true });
  }
}

function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toLocaleString(undefined, { dateStyle: "long", timeStyle: "short" });
}

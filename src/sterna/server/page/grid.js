// Photographs in rows of one height. Every tile has its shape before its picture is there, so nothing jumps.

import { thumbnail } from "./api.js";
import { check } from "./connection.js";
import { el, icon } from "./dom.js";

const NARROWEST = 0.5; // width by height: what is beyond is cut in the grid, and whole in the viewer
const WIDEST = 2.6;
const LARGER = 2; // times its pixels a small one is shown, at most
const SIZES = [256, 512, 1024]; // of the server's small pictures

export const fileName = (photo) => photo.path.slice(photo.path.lastIndexOf("/") + 1);

/** What a photograph shows in words, as far as anybody has said it. */
export const said = (photo) => photo.captions[0] ?? fileName(photo);

/**
 * A grid in a list element.
 * `link(photo)` is its address, `open(photo)` shows it large, `like(photo)` searches for more like it;
 * without `like`, tiles have no button for it. `alike(photo)` shows those that it stands for. `picks` are those that somebody has picked.
 */
export class Grid {
  constructor(list, { link, open, picks, like = null, alike = null }) {
    this.list = list;
    this.link = link;
    this.open = open;
    this.like = like;
    this.alike = alike;
    this.picks = picks;
    this.heading = () => [];
    this.shown = new WeakMap(); // by tile: its photograph, as a text
    list.addEventListener("keydown", (event) => this.#walk(event));
    // Tab comes in where one was last; arrows go from photograph to photograph
    list.addEventListener("focusin", (event) => this.#enter(event.target.closest(".tile")));
  }

  /** Show nothing; from now on, `heading(photo)` is what comes before each that is shown. */
  clear({ heading = () => [] } = {}) {
    this.heading = heading;
    this.list.replaceChildren();
  }

  append(photos) {
    this.list.append(...photos.flatMap((photo) => [...this.heading(photo), this.#tile(photo)]));
    this.#open();
  }

  /** Show these in this order; a tile whose photograph is as it was stays, with its picture. */
  update(photos, { heading = () => [] } = {}) {
    this.heading = heading;
    const before = new Map(this.#tiles().map((tile) => [tile.dataset.id, tile]));
    const tiles = photos.flatMap((photo) => {
      const tile = before.get(String(photo.id));
      const same = tile !== undefined && this.shown.get(tile) === JSON.stringify(photo);
      return [...this.heading(photo), same ? tile : this.#tile(photo)];
    });
    this.list.replaceChildren(...tiles);
    this.#open();
  }

  /** All tiles, without what stands between them. */
  #tiles() {
    return [...this.list.children].filter((one) => one.classList.contains("tile"));
  }

  /** Let Tab come in somewhere. */
  #open() {
    if (this.list.querySelector('.photo[tabindex="0"]') === null) this.#enter(this.#tiles()[0]);
  }

  /** Say of these that they are no more. */
  mark(ids) {
    for (const id of ids) {
      const tile = this.list.querySelector(`.tile[data-id="${Number(id)}"]`);
      if (tile === null || tile.classList.contains("lost")) continue;
      tile.classList.add("lost");
      const name = said(JSON.parse(this.shown.get(tile)));
      tile.querySelector(".photo").replaceChildren(el("span", { className: "away" }, `${name} (no longer there)`));
    }
  }

  #tile(photo) {
    const ratio = Math.min(WIDEST, Math.max(NARROWEST, photo.width / photo.height || 1));
    const link = el(
      "a",
      {
        className: "photo", href: this.link(photo), tabIndex: -1, draggable: false,
        on: {
          click: (event) => {
            if (event.metaKey || event.ctrlKey) return; // a tab of its own
            event.preventDefault();
            // while some are picked, a click picks; Enter still opens
            if (event.shiftKey || (this.picks.some && event.detail > 0)) this.picks.toggle(tile, { range: event.shiftKey });
            else this.open(photo);
          },
        },
      },
      photo.online ? picture(photo, ratio) : el("span", { className: "away" }, said(photo), " (its drive is not there)"),
      photo.score === undefined ? null : score(photo.score),
    );
    const tile = el("li", { className: "tile", data: { id: photo.id }, vars: { ratio } }, link);
    if (this.like !== null) tile.append(this.#likeButton(photo));
    if (photo.folded > 0) tile.append(this.#foldedButton(photo));
    tile.append(this.#pickButton(photo, tile));
    this.picks.adopt(tile, photo);
    this.shown.set(tile, JSON.stringify(photo));
    return tile;
  }

  #likeButton(photo) {
    const label = `More like ${fileName(photo)}`;
    return el(
      "button",
      { className: "icon like", tabIndex: -1, title: "More like this", "aria-label": label,
        on: { click: () => this.like(photo) } },
      icon("like"),
    );
  }

  #foldedButton(photo) {
    const label = `${photo.folded.toLocaleString()} more that look like ${fileName(photo)}`;
    return el(
      "button",
      { className: "folded", tabIndex: -1, title: "Show those that look the same", "aria-label": label,
        on: { click: () => this.alike(photo) } },
      `+${photo.folded.toLocaleString()}`,
    );
  }

  #pickButton(photo, tile) {
    return el(
      "button",
      { className: "icon pick", tabIndex: -1, title: "Select (x)", "aria-label": `Select ${fileName(photo)}`, "aria-pressed": "false",
        "aria-keyshortcuts": "x", on: { click: (event) => this.picks.toggle(tile, { range: event.shiftKey }) } },
      icon("tick"),
    );
  }

  #enter(tile) {
    if (!tile) return;
    for (const other of this.list.querySelectorAll('[tabindex="0"]')) {
      if (!tile.contains(other)) other.tabIndex = -1;
    }
    for (const own of tile.querySelectorAll(".photo, .like, .folded, .pick")) own.tabIndex = 0;
  }

  #walk(event) {
    const tile = event.target.closest(".tile");
    if (tile === null || event.altKey || event.ctrlKey || event.metaKey) return;
    const tiles = this.#tiles();
    const place = tiles.indexOf(tile);
    const to = {
      ArrowLeft: () => tiles[place - 1],
      ArrowRight: () => tiles[place + 1],
      ArrowUp: () => beside(tiles, tile, -1),
      ArrowDown: () => beside(tiles, tile, 1),
      Home: () => tiles[0],
      End: () => tiles.at(-1),
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    to()?.querySelector(".photo").focus();
  }
}

/** The tile of the next row, or the one before, whose middle is the nearest. */
function beside(tiles, from, way) {
  const rows = tiles.filter((tile) => (tile.offsetTop - from.offsetTop) * way > from.offsetHeight / 2);
  const top = way > 0 ? rows[0]?.offsetTop : rows.at(-1)?.offsetTop;
  const middle = (tile) => tile.offsetLeft + tile.offsetWidth / 2;
  return rows
    .filter((tile) => tile.offsetTop === top)
    .sort((a, b) => Math.abs(middle(a) - middle(from)) - Math.abs(middle(b) - middle(from)))[0];
}

function score(value) {
  return el("span", { className: "score" }, el("span", { className: "unseen" }, "score "), value.toFixed(2));
}

function picture(photo, ratio) {
  // the server's sizes are of the longer side, and a browser asks how wide they are
  const wide = (size) => Math.round(size * Math.min(1, photo.width / photo.height || 1));
  const image = el("img", {
    vars: { "most-wide": `${photo.width * LARGER}px`, "most-high": `${photo.height * LARGER}px` },
    alt: said(photo), loading: "lazy", decoding: "async", draggable: false,
    srcset: SIZES.map((size) => `${thumbnail(photo.id, size)} ${wide(size)}w`).join(", "),
    sizes: `(max-width: 40rem) ${Math.round(ratio * 130)}px, ${Math.round(ratio * 250)}px`,
    src: thumbnail(photo.id, 256),
  });
  image.addEventListener("load", () => image.classList.add("there"));
  image.addEventListener("error", () => again(image, photo), { once: true });
  return image;
}

/** A picture that did not come is asked for once more, when the server is there. */
async function again(image, photo) {
  await check();
  await new Promise((resolve) => setTimeout(resolve, 400));
  image.addEventListener(
    "error",
    () => image.replaceWith(el("span", { className: "away" }, said(photo), " (cannot be shown now)")),
    { once: true },
  );
  image.removeAttribute("srcset");
  image.src = `${thumbnail(photo.id, 512)}&again`;
}

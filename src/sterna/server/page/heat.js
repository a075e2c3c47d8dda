// Which parts of a photograph speak for the words of a sentence: colours over it, word by word.

import { ask } from "./api.js";
import { byId, el } from "./dom.js";

const MORE = [230, 97, 1]; // orange and blue are told apart by everyone who tells colours apart at all
const LESS = [60, 130, 210];
const STRONGEST = 0.8; // of opaque
const MOST = 30; // words that are outlined while they are looked for
const leasts = new Map(); // by model: the least score of what fits a sentence, or null
const known = new Map(); // answers by what was asked: each takes seconds

/** The part of the viewer that explains; `model()` is the one that is searched with. */
export class Heat {
  constructor({ model }) {
    this.model = model;
    this.photo = null;
    this.asking = null;
    this.text = null; // that is looked for
    byId("heat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#stops) this.#stop();
      else this.explain(typed());
    });
    byId("heat-text").addEventListener("input", () => this.#name());
  }

  /** Go on to another photograph, or to none. */
  turn(photo) {
    this.clear();
    this.photo = photo;
  }

  suggest(text) {
    byId("heat-text").value = text;
  }

  clear() {
    this.asking?.abort();
    this.#ask(null);
    byId("heat-said").textContent = "";
    byId("heat-words").replaceChildren();
    byId("heat-legend").hidden = true;
    this.#uncover();
  }

  /** Show that an answer is waited for, or that none is. */
  #ask(asking) {
    this.asking = asking;
    byId("heat-wait").hidden = asking === null;
    byId("stage").classList.toggle("looking", asking !== null);
    this.#name();
  }

  /** Whether the button stops what is looked for, for nothing else is typed. */
  get #stops() {
    return this.asking !== null && ["", this.text].includes(typed());
  }

  #name() {
    byId("heat-go").textContent = this.#stops ? "Stop" : "Show";
  }

  #stop() {
    this.clear();
    byId("heat-said").textContent = "Stopped.";
  }

  async explain(text) {
    if (text === "" || this.photo === null) return;
    this.clear();
    const { photo } = this;
    const asking = new AbortController();
    this.text = text;
    this.#ask(asking);
    const model = this.model();
    const key = JSON.stringify([photo.id, text, model]);
    byId("heat-said").textContent = "Looking; this takes a few seconds…";
    byId("heat-words").replaceChildren(...text.split(/\s+/).slice(0, MOST).map(outline));
    try {
      const json = model === null ? { text } : { text, model };
      const found =
        known.get(key) ??
        (await ask(`/api/photos/${photo.id}/explain`, { method: "POST", json, signal: asking.signal, once: true }));
      known.set(key, found);
      const least = await leastOf(model, text);
      if (this.asking === asking) this.#show({ ...found, fits: found.score > 0 && found.score >= (least ?? 0) });
    } catch (error) {
      if (error.name === "AbortError" || this.asking !== asking) return;
      byId("heat-said").textContent = error.message;
      byId("heat-words").replaceChildren();
    } finally {
      if (this.asking === asking) this.#ask(null);
    }
  }

  #show(found) {
    byId("heat-legend").hidden = false;
    const most = Math.max(...found.words.map((one) => one.share));
    const choices = [
      { label: "all of it", cells: found.cells, strength: 1 },
      // a word that carries little is painted faintly: its map has a place where it fits best all the same
      ...found.words.map((one) => ({ label: one.word, cells: one.cells, share: one.share, strength: most > 0 ? one.share / most : 0 })),
    ];
    const buttons = choices.map((choice) =>
      el(
        "button",
        {
          type: "button", className: "word", "aria-pressed": "false", vars: { share: found.fits ? (choice.share ?? 0) : 0 },
          on: { click: (event) => this.#choose(event.currentTarget, choice, found) },
        },
        choice.label,
        choice.share === undefined || !found.fits ? null : el("small", {}, `${percent(choice.share)}%`),
      ),
    );
    byId("heat-words").replaceChildren(...buttons);
    buttons[0].click();
  }

  #choose(button, { label, cells, share, strength }, { area, score, fits }) {
    const on = button.getAttribute("aria-pressed") !== "true"; // once more: the photograph without a map
    for (const other of byId("heat-words").children) other.setAttribute("aria-pressed", "false");
    const nothing = on && percent(share) === 0;
    if (!fits) byId("heat-said").textContent = `Score ${score.toFixed(2)}: the sentence does not fit this photograph, so the maps mean little.`;
    else if (nothing) byId("heat-said").textContent = `“${label}” carries nothing of the score, so nothing is painted.`;
    else byId("heat-said").textContent = `Score ${score.toFixed(2)}. Choose a word to see its own map.`;
    if (!on) {
      this.#uncover();
      return;
    }
    button.setAttribute("aria-pressed", "true");
    draw(byId("viewer-heat"), this.photo, cells, { area, strength: nothing ? 0 : strength });
    byId("stage").classList.add("heated");
    byId("viewer-heat").hidden = false;
  }

  #uncover() {
    byId("viewer-heat").hidden = true;
    byId("stage").classList.remove("heated");
  }
}

const percent = (share) => (share === undefined ? null : Math.round(share * 100));
const typed = () => byId("heat-text").value.trim();

/** What a sentence has to score for its photographs to be shown, as a search says it; null where a model says nothing. */
async function leastOf(model, text) {
  if (!leasts.has(model)) {
    try {
      const json = { text, k: 1, min_score: "model", ...(model === null ? {} : { model }) };
      leasts.set(model, (await ask("/api/search", { method: "POST", json, once: true })).min_score ?? null);
    } catch {
      return null; // the map does as well
    }
  }
  return leasts.get(model);
}

/** The shape of a word's button, where it will be. */
function outline(word) {
  return el("span", { className: "word yet", "aria-hidden": "true" }, word);
}

/** Draw a map, of a photograph's proportions, so that it lies on it as `object-fit` lays both. */
function draw(canvas, photo, cells, { area, strength }) {
  const scale = 640 / Math.max(photo.width, photo.height);
  canvas.width = Math.max(1, Math.round(photo.width * scale));
  canvas.height = Math.max(1, Math.round(photo.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [left, top, right, bottom] = area;
  const { width, height } = canvas;
  const grid = coloured(cells, STRONGEST * strength);
  context.drawImage(grid, left * width, top * height, (right - left) * width, (bottom - top) * height);
}

function coloured(cells, strongest) {
  const numbers = cells.flat();
  // against its mean: with much else hidden, what is left fits a word better, wherever that was
  const mean = numbers.reduce((sum, one) => sum + one, 0) / numbers.length;
  const most = Math.max(1e-9, ...numbers.map((one) => Math.abs(one - mean)));
  const image = new ImageData(cells[0].length, cells.length);
  numbers.forEach((one, place) => {
    const value = (one - mean) / most;
    image.data.set([...(value > 0 ? MORE : LESS), Math.round(255 * strongest * Math.abs(value))], place * 4);
  });
  const canvas = el("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

// What is asked, part by part: chips that can be taken away, words to add, and the least score.

import { thumbnail } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { preview } from "./images.js";
import { asks, empty, get, go } from "./state.js";

const NAMES = {
  folder: (value) => `in ${value}`,
  after: (value) => `from ${value}`,
  before: (value) => `before ${value}`,
  orientation: (value) => value,
  min_size: (value) => `at least ${value} px`,
  max_size: (value) => `at most ${value} px`,
  name: (value) => `named ${value}`,
  caption: (value) => `says “${value}”`,
};

const WHY = {
  parts: "No automatic least score here: several parts together score on a scale of their own.",
  image: "No automatic least score here: the model has one for words alone.",
  none: "This model has no automatic least score.",
};

const without = new Set(); // models that have none, so that nothing flickers where that is known
let modelsLeast = null; // the least score that the model chose last

export function setUp() {
  byId("add").addEventListener("submit", (event) => {
    event.preventDefault();
    const field = byId("more");
    const text = field.value.trim();
    field.focus();
    if (text === "") return;
    field.value = "";
    addWords(event.submitter?.value === "minus" ? "minus" : "plus", text);
  });
  const slider = byId("min");
  slider.addEventListener("input", () => tellLeast(Number(slider.value) || null));
  slider.addEventListener("change", () => go({ min: Number(slider.value) || null }, { replace: true }));
  byId("min-auto").addEventListener("click", () => go({ min: "model" }, { replace: true }));
}

/** Add words to what is asked; without a question they are one. */
function addWords(sign, text) {
  const state = get();
  if (!asks(state) && sign === "plus") go({ ...empty(), q: text, filters: state.filters, model: state.model });
  else go({ [sign]: [...state[sign], { text }], open: null });
}

export function show(state) {
  const chips = [
    state.like === null ? null : photoChip("like", state.like, () => ({ like: null })),
    state.image === null ? null : imageChip(state.image),
    ...["plus", "minus"].flatMap((sign) => state[sign].map((part, place) => partChip(state, sign, part, place))),
    ...Object.entries(state.filters).map(([name, value]) => filterChip(state, name, value)),
    state.fold && asks(state) ? foldChip() : null,
  ].filter((one) => one !== null);
  const searched = asks(state);
  byId("refine").hidden = state.view !== "photos" || (!searched && chips.length === 0);
  byId("chips").hidden = chips.length === 0;
  byId("chips").replaceChildren(...chips);
  byId("add").hidden = byId("least").hidden = !searched;
  // a sentence seldom scores above a half, a photograph like another often does
  byId("min").max = state.like === null && state.image === null ? Math.max(0.6, Number(state.min) || 0) : 1;
  const kind = kindOf(state);
  const none = kind === "sentence" && state.min === "model" && without.has(state.model);
  byId("min-auto").hidden = kind !== "sentence" || none;
  byId("min-auto").setAttribute("aria-pressed", String(state.min === "model"));
  byId("min").value = typeof state.min === "number" ? state.min : 0;
  tellWhy(searched && state.min === "model" ? WHY[none ? "none" : kind] ?? "" : "");
  if (state.min !== "model") tellLeast(state.min);
  else chosen(kind === "sentence" && !none ? modelsLeast : null);
}

/** What a state asks with: the model has a least score for a "sentence" alone. */
function kindOf({ q, like, image, plus, minus }) {
  const words = [...(q === "" ? [] : [q]), ...plus];
  if (like === null && image === null && minus.length === 0 && words.length === 1 && plus.every((part) => part.text !== undefined)) return "sentence";
  return words.length + minus.length === 0 ? "image" : "parts";
}

/** Show the least score that the model chose, where it chooses; `searched` once it was asked. */
export function chosen(least, { searched = false } = {}) {
  if (least !== null) modelsLeast = least;
  byId("min").value = least ?? 0;
  tellLeast(least);
  if (least !== null) byId("min").setAttribute("aria-valuetext", `${least.toFixed(2)}, chosen by the model`);
  if (searched && least === null && kindOf(get()) === "sentence") {
    without.add(get().model);
    byId("min-auto").hidden = true; // there is nothing that it could choose
    tellWhy(WHY.none);
  }
}

/** Say why nothing is chosen by itself. */
function tellWhy(sentence) {
  byId("min-why").textContent = sentence;
  byId("min-why").hidden = sentence === "";
}

function tellLeast(min) {
  const text = min === null ? "any" : min.toFixed(2);
  byId("min-told").textContent = text;
  byId("min").setAttribute("aria-valuetext", text);
}

function chip(label, without, ...before) {
  const remove = el(
    "button",
    { className: "icon", "aria-label": `Remove: ${label}`, on: { click: (event) => takeAway(event, without) } },
    icon("close"),
  );
  return el("li", { className: "chip" }, ...before, el("span", { className: "words" }, label), remove);
}

/** The focus goes to the chip that takes the place, or to the search where none is left. */
function takeAway(event, without) {
  const place = [...byId("chips").children].indexOf(event.currentTarget.closest("li"));
  go({ ...without(), open: null });
  const rest = byId("chips").querySelectorAll("button");
  (rest[Math.min(place, rest.length - 1)] ?? byId("query")).focus();
}

const small = (src) => el("img", { src, alt: "", width: 28, height: 28 });

function photoChip(kind, id, without) {
  const label = { like: "like this photograph", plus: "more like this", minus: "less like this" }[kind];
  return chip(label, without, small(thumbnail(id, 128)));
}

function imageChip(text) {
  const own = preview(text);
  const picture = own?.url === undefined ? icon("image") : small(own.url);
  if (own?.url !== undefined) picture.addEventListener("error", () => picture.replaceWith(icon("image")));
  return chip(`like ${own?.name || "an image"}`, () => ({ image: null }), picture);
}

function partChip(state, sign, part, place) {
  const without = () => ({ [sign]: state[sign].filter((_, other) => other !== place) });
  const made =
    part.text === undefined
      ? photoChip(sign, part.photo, without)
      : chip(sign === "plus" ? part.text : `not ${part.text}`, without, icon(sign));
  made.classList.add(sign);
  return made;
}

function foldChip() {
  const made = chip("look-alikes hidden", () => ({ fold: false }));
  made.classList.add("filter");
  return made;
}

function filterChip(state, name, value) {
  const without = () => {
    const { [name]: _, ...filters } = state.filters;
    return { filters };
  };
  const made = chip(NAMES[name](value), without);
  made.classList.add("filter");
  return made;
}

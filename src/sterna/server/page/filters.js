// The panel of filters, and the choice of the model.

import { ask } from "./api.js";
import { byId, el, many } from "./dom.js";
import { bring, preview } from "./images.js";
import { get, go } from "./state.js";

const MOST = 2000; // folders to choose from
const LONGEST = 1000; // letters of a folder that the service takes
let models = [];
let known = null; // the generation of the library when its folders were told
let stale = true;

export function setUp({ trouble }) {
  const panel = byId("filters");
  const form = byId("filters-form");
  const toggle = byId("filters-toggle");
  const open = (wanted) => {
    panel.hidden = !wanted;
    toggle.setAttribute("aria-expanded", String(wanted));
  };
  toggle.addEventListener("click", () => {
    const wanted = panel.hidden;
    if (wanted) {
      refresh();
      listFolders();
    }
    open(wanted);
    if (wanted) form.elements.folder.focus();
  });
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    open(false);
    toggle.focus();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    go({ filters: {}, fold: false, open: null });
  });
  form.addEventListener("change", (event) => {
    if (event.target.name === "model") chooseModel(event.target.value || null).catch(trouble);
    else if (event.target.name === "fold") go({ view: "photos", fold: event.target.checked, open: null });
    else if (form.reportValidity()) go({ view: "photos", filters: changed(event.target), open: null });
  });
}

export function show(state) {
  const form = byId("filters-form");
  for (const field of form.elements) {
    if (field.name === "" || ["model", "fold"].includes(field.name) || field === document.activeElement) continue;
    field.value = state.filters[field.name] ?? "";
  }
  form.elements.fold.checked = state.fold;
  const count = Object.keys(state.filters).length + Number(state.fold);
  const toggle = byId("filters-toggle");
  toggle.classList.toggle("active", count > 0);
  toggle.setAttribute("aria-label", count === 0 ? "Filters" : `Filters, ${count} set`);
  form.elements.model.value = state.model ?? models.find((one) => one.default)?.name ?? "";
}

/** The library is at this generation: its folders are told anew, once somebody chooses among them. */
export function renew(generation) {
  if (generation === known) return;
  known = generation;
  stale = true;
  if (!byId("filters").hidden) listFolders();
}

/** All folders of the library, to choose from: each as the filter takes it, from the name of its root on. */
async function listFolders() {
  if (!stale) return;
  stale = false;
  try {
    const { folders } = await ask(`/api/folders?k=${MOST}`, { once: true });
    const counts = new Map(); // roots of one name are one choice
    for (const { root, path, photos } of folders) {
      const value = [root.name, path].filter((part) => part !== "").join("/");
      // a name that is no text cannot be asked for
      if (value === "" || value.length > LONGEST || value.includes("\uFFFD")) continue;
      counts.set(value, (counts.get(value) ?? 0) + photos);
    }
    const options = [...counts].map(([value, photos]) => el("option", { value, label: many(photos, "photograph") }));
    byId("folders").replaceChildren(...options);
  } catch {
    stale = true; // a folder can be typed as well
  }
}

/** The filters with one that was changed; others may be such as their fields cannot show (a year, in an address). */
function changed(field) {
  const offered = [...(field.list?.options ?? [])].some((one) => one.value === field.value);
  const text = offered ? field.value : field.value.trim(); // a folder's name may begin or end with a space
  const { [field.name]: _, ...filters } = get().filters;
  if (text !== "") filters[field.name] = field.type === "number" ? Number(text) : text;
  return filters;
}

async function refresh() {
  try {
    models = (await ask("/api/models", { once: true })).models;
  } catch {
    return; // without a choice of models the rest of the panel works as well
  }
  const select = byId("filters-form").elements.model;
  select.replaceChildren(
    ...models.map((one) => el("option", { value: one.name }, `${one.name}, ${one.photos.toLocaleString()} photographs`)),
  );
  byId("model-label").hidden = models.length < 2;
  show(get());
}

/** Search with another model. An image has to be looked at again: vectors of two models have nothing in common. */
async function chooseModel(name) {
  const model = models.find((one) => one.name === name)?.default ? null : name;
  const { image } = get();
  const own = image === null ? undefined : preview(image);
  go({ model, open: null, image: own?.file === undefined ? null : await bring(own.file, model, own.name) });
}

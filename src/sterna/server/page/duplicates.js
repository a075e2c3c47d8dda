// Photographs that look the same, group by group.

import { ask } from "./api.js";
import { byId, el } from "./dom.js";
import { fileName, Grid } from "./grid.js";
import { get, go, searchKey, write } from "./state.js";

let shown = null; // the search that the page shows
let shownList = null; // and its groups: an answer for others comes too late
let groups = [];
let grids = []; // that show them
let next = null;
let told = ""; // how many there are
let stale = false; // the library has changed since

/** The photographs of the group that one belongs to. */
export const groupOf = (id) => groups.find((group) => group.some((one) => one.id === id)) ?? [];

/** All photographs that are shown. */
export const photos = () => groups.flat();

/** Say of these that they are no more. */
export function mark(ids) {
  for (const grid of grids) grid.mark(ids);
}

/** The library has changed: compare anew where they are shown next. */
export function forget() {
  stale = true;
}

/** Show the groups, unless they are shown already. `picks` are photographs that somebody has picked. */
export async function show(state, { tell, trouble, picks, fresh = false }) {
  const key = searchKey(state);
  if (key === shown && !fresh && !stale) {
    tell(told);
    return;
  }
  shown = key;
  stale = false;
  groups = [];
  grids = [];
  told = "Comparing photographs…";
  const list = el("div", { className: "groups" });
  byId("duplicates").replaceChildren(head(state), list);
  tell(told);
  shownList = list;
  await page(state, list, 0, { tell, trouble, picks });
}

function head(state) {
  const slider = el("input", {
    id: "likeness", type: "range", min: 0.8, max: 1, step: 0.005, value: state.likeness ?? 1,
    on: {
      input: () => (likeness.textContent = Number(slider.value).toFixed(3)),
      change: () => go({ likeness: Number(slider.value) }, { replace: true }),
    },
  });
  const likeness = el("output", { id: "likeness-told" }, state.likeness?.toFixed(3) ?? "");
  likeness.htmlFor = "likeness";
  return el(
    "div",
    { className: "head" },
    el("h2", {}, "Duplicates"),
    el("p", {}, "Photographs that look the same: resized, saved again, cut a little. The best of each comes first; nothing is deleted from here."),
    el("div", { className: "slider" }, el("label", { htmlFor: "likeness" }, "Alike at least"), slider, likeness),
  );
}

async function page(state, list, offset, { tell, trouble, picks }) {
  const params = new URLSearchParams({ copies: true, offset, limit: 30 });
  if (state.likeness !== null) params.set("min_score", state.likeness);
  if (state.model !== null) params.set("model", state.model);
  let answer;
  try {
    answer = await ask(`/api/duplicates?${params}`);
  } catch (error) {
    if (list === shownList) {
      shown = null;
      trouble(error);
    }
    return;
  }
  if (list !== shownList) return; // something else is shown by now
  byId("likeness").value = answer.min_score; // the service knows what is usual
  byId("likeness-told").textContent = answer.min_score.toFixed(3);
  next = answer.next;
  groups.push(...answer.groups.map((group) => group.photos));
  list.append(...answer.groups.map((one) => group(one, picks)));
  told = answer.total === 0 ? "No two photographs look the same." : answer.total === 1 ? "1 group" : `${answer.total} groups`;
  tell(told);
  if (next !== null) list.append(moreButton(state, list, { tell, trouble, picks }));
}

function moreButton(state, list, rest) {
  const button = el("button", { className: "more", on: { click: async () => {
    const before = list.children.length - 1;
    button.remove();
    await page(state, list, next, rest);
    list.children[before]?.querySelector("a")?.focus();
  } } }, "Show more groups");
  return button;
}

function group({ size, photos }, picks) {
  const list = el("ul", { className: "grid small", "aria-label": "Photographs that look the same" });
  const grid = new Grid(list, {
    link: (photo) => write({ ...get(), open: photo.id }),
    open: (photo) => go({ open: photo.id }),
    picks,
  });
  grids.push(grid);
  grid.append(photos);
  [...list.children].forEach((tile, place) => tile.append(legend(photos[place], place)));
  const equal = photos[0].also.length;
  const title = size > 1 ? `${size} alike` : `${equal + 1} equal files`;
  return el("section", { className: "group" }, el("h3", {}, title), list);
}

function legend(photo, place) {
  const also = photo.also.length === 0 ? "" : `; equal: ${photo.also.join(", ")}`;
  return el(
    "p",
    { className: "legend-line" },
    el("strong", {}, place === 0 ? "best" : photo.score.toFixed(3)),
    ` · ${photo.width} × ${photo.height}`,
    el("span", { className: "name", title: `${photo.path}${also}` }, `${fileName(photo)}${also}`),
  );
}

// Months over the newest photographs, each a link to its photographs alone.

import { el } from "./dom.js";
import { go, write } from "./state.js";

/** The month of a photograph, "2019-05": of its own date, or of its file's; both are local. */
const monthOf = (photo) => (photo.taken_at ?? photo.file_date ?? "").slice(0, 7);

/**
 * The headings of a list, newest first: call it with photograph after photograph, and it returns the elements that
 * come before each. One of a later month than the one before it stays in that one's: a date may be of another path.
 */
export function headings(state) {
  let last = null;
  return (photo) => {
    const month = monthOf(photo);
    if (!/^\d{4}-\d\d$/.test(month) || (last !== null && month >= last)) return [];
    const before = last === null ? [] : [el("li", { className: "rest", "aria-hidden": "true" })];
    last = month;
    return [...before, heading(state, month)];
  };
}

const four = (year) => String(year).padStart(4, "0");

/** Whether this is a date that the service knows: those that begin with a year of four digits sort as texts. */
const isDate = (text) => /^\d{4}(-|$)/.test(text ?? "");

function heading(state, month) {
  const [year, number] = month.split("-").map(Number);
  const first = new Date(0, number - 1);
  first.setFullYear(year); // years below 100 are otherwise those of 1900 and on
  const label = first.toLocaleDateString(undefined, { month: "long", year: "numeric" });
  const next = number === 12 ? `${four(year + 1)}-01` : `${four(year)}-${String(number + 1).padStart(2, "0")}`;
  // a month of what is filtered is never wider than it
  const { after, before, ...others } = state.filters;
  const filters = { ...others, after: [`${month}-01`, after].filter(isDate).sort().at(-1) };
  const end = [`${next}-01`, before].filter(isDate).sort()[0];
  if (end !== undefined) filters.before = end; // after 9999-12 there is none
  const link = el(
    "a",
    { href: write({ ...state, filters, open: null }), title: `Only ${label}`,
      on: { click: (event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey) return; // a tab of its own
        event.preventDefault();
        go({ filters, open: null });
      } } },
    label,
  );
  return el("li", { className: "month" }, el("h2", {}, link));
}

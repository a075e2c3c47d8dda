// What the library holds: its folders, bringing it up to date, what cannot be read, and its models.

import { ask } from "./api.js";
import { byId, el, many } from "./dom.js";
import { folders } from "./folders.js";
import * as jobs from "./jobs.js";

const FAILURES = 50;
let shows = 0;

/** Show it. `changed()` is called when a run of indexing has ended, `forget()` when a folder has been taken out. */
export async function show({ tell, trouble, changed, forget }) {
  const place = byId("library");
  const own = (shows += 1);
  if (place.childElementCount === 0) tell("Counting…");
  try {
    const [status, models, failures, job] = await Promise.all([
      ask("/api/status"), ask("/api/models"), ask(`/api/failures?limit=${FAILURES}`), jobs.last(),
    ]);
    if (own !== shows) return; // it has been asked for again since
    const run = new Run({ changed, empty: status.roots.length === 0 });
    place.replaceChildren(
      el("h2", {}, "Library"),
      counts(status),
      ...status.problems.map((problem) => el("p", { className: "wrong" }, problem)),
      run.element,
      folders(status, {
        start: (roots) => run.start(roots),
        trouble: (sentence) => run.say(sentence),
        forgotten: async (root) => {
          forget();
          byId("main").focus({ preventScroll: true });
          await show({ tell, trouble, changed, forget });
          tell(`${root.name} is forgotten. Its photographs are still where they were.`);
        },
      }),
      ...(failures.total + status.roots.length === 0 ? [] : [unread(failures, { trouble })]),
      ...(models.models.length === 0 ? [] : [known(models.models)]),
    );
    run.show(job);
    tell("");
  } catch (error) {
    if (own === shows) trouble(error);
  }
}

function counts(status) {
  if (status.indexed === 0) return el("p", { className: "counts" }, "No photographs yet");
  const parts = [many(status.indexed, "photograph"), `its index takes ${bytes(status.bytes)}`];
  if (status.stale > 0) parts.push(`${status.stale.toLocaleString()} to be looked at again`);
  return el("p", { className: "counts" }, parts.join(" · "));
}

function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, count)) / 3));
  const value = count / 1000 ** step;
  return `${value.toFixed(value < 10 && step > 0 ? 1 : 0)} ${units[step]}`;
}

/** The button that starts a run, and how far it is. */
class Run {
  constructor({ changed, empty }) {
    this.changed = changed;
    this.empty = empty; // there is nothing to bring up to date, until a folder is being added
    this.job = null;
    this.said = el("p", { role: "status", className: "said" });
    this.bar = el("progress", { hidden: true, "aria-label": "Indexing" });
    this.button = el("button", { className: "strong", hidden: empty, on: { click: () => this.toggle() } }, "Bring up to date");
    this.element = el("div", { className: "run" }, this.button, this.bar, this.said);
  }

  async toggle() {
    try {
      if (this.job?.state === "running") await jobs.stop(this.job.id);
      else await this.start([]);
    } catch (error) {
      this.say(error.message);
    }
  }

  /** Begin a run; fails with a sentence where it may not. */
  async start(roots) {
    this.show(await jobs.start(roots));
  }

  say(sentence) {
    this.said.textContent = sentence;
  }

  show(job) {
    if (job === undefined) return;
    this.job = job;
    const running = job.state === "running";
    this.button.hidden = this.empty && !running;
    this.button.textContent = running ? "Stop" : "Bring up to date";
    this.said.textContent = jobs.sentence(job);
    this.bar.hidden = !running;
    const { done, total } = job.progress;
    if (total) Object.assign(this.bar, { max: total, value: done });
    else this.bar.removeAttribute("value");
    if (!running) return;
    jobs.follow(job.id, (now) => {
      this.show(now);
      if (now.state !== "running") this.changed();
    });
  }
}

function unread({ total, failures }, { trouble }) {
  const list = el("ul", { className: "rows" });
  const add = (some) =>
    list.append(...some.map((one) => el("li", {}, el("span", { className: "path" }, one.path), el("span", { className: "wrong" }, one.reason))));
  add(failures);
  const next = async () => {
    const offset = list.childElementCount;
    const answer = await ask(`/api/failures?limit=${FAILURES}&offset=${offset}`);
    add(answer.failures);
    more.hidden = list.childElementCount >= answer.total || answer.failures.length === 0;
    const first = list.children[offset];
    if (first !== undefined) {
      first.tabIndex = -1; // the button may be gone, and the focus with it
      first.focus();
    }
  };
  const more = el("button", { className: "more", hidden: total <= failures.length, on: { click: () => next().catch(trouble) } }, "Show more");
  const title = total === 0 ? "Everything could be read" : `${many(total, "file or folder", "files and folders")} could not be read`;
  return el("section", {}, el("h3", {}, title), list, more);
}

function known(models) {
  const rows = models.map((one) =>
    el(
      "li",
      {},
      el("strong", {}, one.name),
      el("span", { className: "quiet" }, `${many(one.photos, "photograph")}, ${one.dim} numbers each${one.default ? "; answers unless another is chosen" : ""}`),
    ),
  );
  return el("section", {}, el("h3", {}, models.length === 1 ? "Model" : "Models"), el("ul", { className: "rows" }, ...rows));
}

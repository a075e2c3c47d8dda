// A run of indexing: started, followed to its end, and stopped.

import { ask } from "./api.js";
import { check } from "./connection.js";
import { many } from "./dom.js";

let followed = null;

/** Start one, on all folders or on `roots`. */
export const start = (roots) => ask("/api/jobs", { method: "POST", json: { roots }, once: true });

export const stop = (id) => ask(`/api/jobs/${id}`, { method: "DELETE", once: true });

/** The last job, or undefined. */
export const last = async () => (await ask("/api/jobs")).jobs[0];

/** Call `told(job)` each time that something is new of a job, to its end. One is followed at a time. */
export function follow(id, told) {
  if (followed?.id === id) {
    followed.told = told;
    return;
  }
  followed?.events.close();
  const events = new EventSource(`/api/jobs/${id}/events`);
  const own = (followed = { id, events, told });
  const end = () => {
    events.close();
    if (followed === own) followed = null;
  };
  events.addEventListener("job", (event) => {
    const job = JSON.parse(event.data);
    if (job.state !== "running") end();
    own.told(job);
  });
  events.addEventListener("error", async () => {
    if (followed !== own) return;
    // it asks again by itself, but not where the server forgot the job: it was started anew
    await check();
    if (followed !== own || events.readyState !== EventSource.CLOSED) return;
    end();
    const job = await last().catch(() => undefined);
    own.told(job?.id === id ? job : { id, state: "failed", progress: {}, report: null, error: "the server was stopped meanwhile" });
  });
}

/** How far a job is, as a sentence. */
export function sentence(job) {
  const { phase, done = 0, total, seconds_left: left } = job.progress;
  if (job.state === "running") {
    if (phase === undefined) return "Starting…";
    if (phase !== "embedding") return `Looking at files: ${done.toLocaleString()}`;
    const rest = left === null || left === undefined ? "" : `, ${duration(left)} left`;
    return `Indexing: ${done.toLocaleString()} of ${total.toLocaleString()}${rest}`;
  }
  if (job.state === "done") return `${counted(job.report)}${unlisted(job.report)}`;
  if (job.state === "cancelled") return "Stopped. What was done is kept.";
  return `It failed: ${job.error}.`;
}

function counted(report) {
  const parts = ["new", "changed", "moved", "removed", "failed"]
    .filter((name) => report[name] > 0)
    .map((name) => `${report[name].toLocaleString()} ${name}`);
  return parts.length === 0 ? "Up to date: nothing had changed." : `Up to date: ${parts.join(", ")}.`;
}

/** What is not known, for a folder could not be looked into. */
function unlisted({ unlisted: folders = [] }) {
  if (folders.length === 0) return "";
  const more = folders.length > 1 ? ` and ${many(folders.length - 1, "more", "more")}` : "";
  return ` Could not be listed, so nothing in it was looked at: ${folders[0]}${more}.`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

// Photographs that are no more while they are shown: they vanish where that disturbs nobody, and are marked where
// somebody is looking.

import { ask } from "./api.js";
import { undisturbed } from "./newcomers.js";

/** `shown()` are the ids that are shown, `mark(ids)` marks some of them, `drop(ids)` takes them away. */
export class Lost {
  constructor({ shown, mark, drop }) {
    this.shown = shown;
    this.mark = mark;
    this.drop = drop;
    this.rest();
  }

  /** Something else is shown. */
  rest() {
    this.ids = new Set();
    this.seen = null; // the generation of the library that was asked last
  }

  async look(generation) {
    const { ids } = this;
    if (generation !== this.seen) {
      const asked = this.shown();
      this.seen = generation;
      if (asked.length > 0) {
        try {
          const { gone } = await ask("/api/photos/gone", { method: "POST", json: { ids: asked }, once: true });
          if (ids !== this.ids) return;
          const fresh = gone.filter((one) => !ids.has(one));
          for (const one of fresh) ids.add(one);
          if (fresh.length > 0) this.mark(fresh);
        } catch {
          if (ids === this.ids) this.seen = null; // asked again at the next beat
          return;
        }
      }
    }
    if (ids.size > 0 && undisturbed()) {
      this.drop([...ids]);
      ids.clear();
    }
  }
}

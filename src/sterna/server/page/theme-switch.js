// Light, dark, or as the system has it; theme.js remembers it before the page is drawn.

import { byId } from "./dom.js";

const ORDER = ["system", "light", "dark"];
const PAPER = { light: "#ffffff", dark: "#131415" }; // what a phone paints around the page
const LABELS = { system: "Colours: as the system", light: "Colours: light", dark: "Colours: dark" };

export function setUp() {
  const button = byId("theme");
  const show = () => {
    button.setAttribute("aria-label", LABELS[now()]);
    button.title = LABELS[now()];
    for (const meta of document.querySelectorAll('meta[name="theme-color"]')) {
      meta.content = PAPER[now()] ?? PAPER[meta.media.includes("dark") ? "dark" : "light"];
    }
  };
  button.addEventListener("click", () => {
    set(ORDER[(ORDER.indexOf(now()) + 1) % ORDER.length]);
    show();
  });
  show();
}

const now = () => document.documentElement.dataset.theme ?? "system";

function set(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    if (theme === "system") localStorage.removeItem("sterna-theme");
    else localStorage.setItem("sterna-theme", theme);
  } catch {
    // a browser that keeps nothing shows it until the page is left
  }
}

// Runs before the first paint, so that a page chosen dark never flashes white.
(() => {
  try {
    const kept = localStorage.getItem("sterna-theme");
    if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
  } catch {
    // a browser that keeps nothing follows the system
  }
})();

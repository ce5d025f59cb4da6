// Runs before the first paint, so that nobody who chose dark sees a white flash. Not a module for that reason.
(function () {
  try {
    const chosen = localStorage.getItem("parley-theme");
    if (chosen) document.documentElement.dataset.theme = chosen;
  } catch {
    // no storage: the system's preference stands
  }
})();

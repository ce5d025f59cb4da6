// What was typed while the index was being made is looked for once it is there.
window.addEventListener("load", () => {
  if (typeof searchWorker === "undefined") return;
  searchWorker.addEventListener("message", ({ data }) => { if (data.allowSearch) doSearch(); });
});

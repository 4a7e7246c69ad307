// Runs before the first paint, so that a chosen theme does not flash. The rest is in postern.js.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  try {
    const theme = localStorage.getItem("postern-theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
  } catch {
    // storage is blocked: the system's choice stands
  }
})();

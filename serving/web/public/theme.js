// Before the first paint and as a file of its own: the policy allows no script within the page.
try {
  const chosen = localStorage.getItem("music.theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch {
  // A browser that keeps nothing follows the system.
}

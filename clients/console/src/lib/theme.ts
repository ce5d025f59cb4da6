// Light or dark: the reader's choice, or the system's. assets/theme.js applies it before the first paint.
export function toggleTheme(): void {
  const root = document.documentElement;
  const isDark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = isDark ? "light" : "dark";
  try {
    localStorage.setItem("parley-theme", root.dataset.theme);
  } catch {
    // no storage: until the page is left
  }
}

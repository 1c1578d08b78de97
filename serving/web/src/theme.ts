/** Light, dark, or as the system has it; kept in the browser and set before the first paint by theme.js. */
import { useSyncExternalStore } from "react";

export type Theme = "system" | "light" | "dark";

const KEY = "music.theme";
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const listeners = new Set<() => void>();

const tell = (): void => listeners.forEach((listener) => listener());
dark.addEventListener("change", tell);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function chosen(): Theme {
  const theme = document.documentElement.dataset["theme"];
  return theme === "light" || theme === "dark" ? theme : "system";
}

export function choose(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = theme;
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Then it holds until the page is closed.
  }
  tell();
}

export const useTheme = (): Theme => useSyncExternalStore(subscribe, chosen);

/** The theme that is seen, for what is drawn on a canvas. */
export const useSeenTheme = (): "light" | "dark" =>
  useSyncExternalStore(subscribe, () => (chosen() === "system" ? (dark.matches ? "dark" : "light") : chosen() === "dark" ? "dark" : "light"));

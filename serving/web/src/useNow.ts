import { useSyncExternalStore } from "react";

const EVERY_MS = 20_000;
let now = Date.now();
const listeners = new Set<() => void>();
setInterval(() => {
  now = Date.now();
  listeners.forEach((listener) => listener());
}, EVERY_MS);

/** The time, told again every 20 seconds: `4 min. ago` must not stand still. */
export const useNow = (): number =>
  useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => now,
  );

/** The few signs of the page, drawn here: nothing is fetched for them. */
const PATHS = {
  home: "M3 9.5 10 4l7 5.5V16a1 1 0 0 1-1 1h-3.5v-5h-5v5H4a1 1 0 0 1-1-1z",
  search: "M9 3.5a5.5 5.5 0 1 1 0 11 5.5 5.5 0 0 1 0-11zM13 13l4 4",
  trending: "M3 14l4.5-5 3.5 3L17 5m0 0h-4.5M17 5v4.5",
  charts: "M4 17V11M10 17V4M16 17V8",
  stats: "M10 3a7 7 0 1 0 7 7h-7zM13 3.6A7 7 0 0 1 16.4 7H13z",
  pulse: "M2.5 10.5H6l2-6 4 11 2-5h3.5",
  letters: "M3 5h14v10H3zM3 6l7 5 7-5",
  topics: "M3 5h14M3 10h14M3 15h9",
  models: "M10 3l7 3.5-7 3.5-7-3.5zM3 10l7 3.5 7-3.5M3 13.5 10 17l7-3.5",
  sources: "M10 10h.01M6.5 13.5a5 5 0 0 1 0-7M13.5 6.5a5 5 0 0 1 0 7M4 16a8.5 8.5 0 0 1 0-12M16 4a8.5 8.5 0 0 1 0 12",
  play: "M6.5 4.5v11l9-5.5z",
  like: "M10 16.5S3.5 12.8 3.5 8.3A3.3 3.3 0 0 1 10 7a3.3 3.3 0 0 1 6.5 1.3c0 4.5-6.5 8.2-6.5 8.2z",
  hide: "M5.5 5.5l9 9M10 3a7 7 0 1 1 0 14 7 7 0 0 1 0-14z",
  sun: "M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM10 2v1.5M10 16.5V18M2 10h1.5M16.5 10H18M4.3 4.3l1.1 1.1M14.6 14.6l1.1 1.1M15.7 4.3l-1.1 1.1M5.4 14.6l-1.1 1.1",
  moon: "M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3z",
  system: "M3 4.5h14v9H3zM7 17h6M10 13.5V17",
  person: "M10 3.5a3 3 0 1 1 0 6 3 3 0 0 1 0-6zM4 17c0-3.3 2.7-5 6-5s6 1.7 6 5",
  chevron: "M6 8l4 4 4-4",
  left: "M12 5l-5 5 5 5",
  right: "M8 5l5 5-5 5",
  close: "M5 5l10 10M15 5L5 15",
  alert: "M10 3l7.5 13.5h-15zM10 8.5v3.5M10 14.3v.1",
  redo: "M15.5 8.5A6 6 0 1 0 16 12M16 4.5v4h-4",
  more: "M3 6h14M3 10h14M3 14h14",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, filled = false }: { name: IconName; filled?: boolean }) {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} fill={filled ? "currentColor" : "none"} stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" strokeLinejoin="round" />
    </svg>
  );
}

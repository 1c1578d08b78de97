/** Numbers, times and names as a person reads them. */

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const moment = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" });
const dayOnly = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
const dayOfYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

export const count = (value: number): string => whole.format(value);
export const compact = (value: number): string => short.format(value);
export const share = (value: number): string => `${Math.round(value * 100)} %`;
export const at = (time: string): string => moment.format(new Date(time));
export const day = (date: string): string => dayOnly.format(new Date(`${date}T00:00:00Z`));
export const fullDay = (date: string): string => dayOfYear.format(new Date(`${date}T00:00:00Z`));
export const plural = (value: number, one: string, many = `${one}s`): string =>
  `${count(value)} ${value === 1 ? one : many}`;

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** `4 min. ago`; within a minute, `just now`. */
export function ago(time: string, now = Date.now()): string {
  const seconds = (new Date(time).getTime() - now) / 1000;
  for (const [unit, size] of UNITS) {
    if (Math.abs(seconds) >= size) return relative.format(Math.trunc(seconds / size), unit);
  }
  return "just now";
}

/** A span such as `2 h 10 min`. */
export function span(seconds: number): string {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} days`;
}

/** The name of an item, or what its id says where nobody named it. */
export const named = (itemId: string, name: string | null | undefined): string => name ?? itemId;
/** The page of an item; its id is no part of the path, because it may hold dots and slashes. */
export const itemPage = (itemId: string): string => `/item?id=${encodeURIComponent(itemId)}`;
export const kindOf = (itemId: string): string => itemId.split(":", 1)[0] ?? "track";

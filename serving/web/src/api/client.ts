/** The one way to the API: same origin, the session's cookie, problems as errors. */
import type { Problem } from "./types";

/** A problem+json answer, or no answer at all (`status` 0); its message is a sentence for a person. */
export class ProblemError extends Error {
  readonly status: number;
  readonly field: string | null;

  constructor(status: number, message: string, field: string | null = null) {
    super(message);
    this.name = "ProblemError";
    this.status = status;
    this.field = field;
  }
}

type Query = Record<string, string | number | null | undefined>;

interface Options {
  query?: Query;
  body?: unknown;
  signal?: AbortSignal;
}

const SAFE = new Set(["GET", "HEAD"]);
let csrf: string | null = null;

/** Keep the token that the session gave for what changes something. */
export function protectWith(token: string | null): void {
  csrf = token;
}

/** Return a path with its query; what is null or empty is left out. */
export function address(path: string, query: Query = {}): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") parameters.set(name, String(value));
  }
  const text = parameters.toString();
  return text ? `${path}?${text}` : path;
}

/** Ask the API. Throws a ProblemError for anything but a 2xx answer. */
export async function ask<T>(method: string, path: string, options: Options = {}): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  if (csrf !== null && !SAFE.has(method)) headers["X-CSRF-Token"] = csrf;
  let answer: Response;
  try {
    answer = await fetch(address(path, options.query), {
      method,
      headers,
      credentials: "same-origin",
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ProblemError(0, "The platform does not answer. Check that it runs, and your connection.");
  }
  if (!answer.ok) throw await problem(answer);
  return (answer.status === 204 ? undefined : await answer.json()) as T;
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
  ask<T>("GET", path, { ...(query ? { query } : {}), ...(signal ? { signal } : {}) });

async function problem(answer: Response): Promise<ProblemError> {
  try {
    const told = (await answer.json()) as Partial<Problem>;
    const detail = told.detail ?? told.title ?? answer.statusText;
    return new ProblemError(answer.status, sentence(detail), told.field ?? null);
  } catch {
    return new ProblemError(answer.status, `The platform answered ${answer.status} and did not say why.`);
  }
}

/** Return a text as a sentence: a capital first, a full stop last. */
export function sentence(text: string): string {
  const trimmed = text.trim();
  const ended = /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
  return ended.charAt(0).toUpperCase() + ended.slice(1);
}

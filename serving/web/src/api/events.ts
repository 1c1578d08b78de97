/** What a listener does, sent as events of the contract; each click is an event of its own. */
import { ask, ProblemError, sentence } from "./client";
import type { Ingest } from "./types";

export interface Action {
  userId: string;
  itemId: string;
  recommendationId?: string | undefined;
}

const LIKED = 5;
/** The middle of 0 to 5 says neither: an event is never unsaid, the newest one counts. */
const NEITHER = 2.5;

export const play = (action: Action): Promise<void> => send(action, { event_type: "listen", source: "web" });
export const like = (action: Action): Promise<void> => send(action, { event_type: "rating", rating: LIKED });
export const unlike = (action: Action): Promise<void> => send(action, { event_type: "rating", rating: NEITHER });

const hidden = ({ userId, itemId }: Action): string =>
  `/users/${encodeURIComponent(userId)}/hidden/${encodeURIComponent(itemId)}`;
export const hide = (action: Action): Promise<unknown> => ask("PUT", hidden(action));
export const show = (action: Action): Promise<unknown> => ask("DELETE", hidden(action));

async function send(action: Action, what: Record<string, unknown>): Promise<void> {
  const answer = await ask<Ingest>("POST", "/events", {
    body: {
      event_id: crypto.randomUUID(),
      user_id: action.userId,
      item_id: action.itemId,
      timestamp: new Date().toISOString(),
      context: "page",
      ...(action.recommendationId ? { recommendation_id: action.recommendationId } : {}),
      ...what,
    },
  });
  const refused = answer.results.find((result) => result.verdict === "rejected");
  if (refused) throw new ProblemError(422, sentence(refused.error ?? "this was refused"), refused.field ?? null);
}

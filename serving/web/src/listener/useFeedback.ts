/** Feedback that acts at once: the page follows before the answer, and goes back if it is refused. */
import { useState } from "react";
import { useQueryClient } from "@tanstack/react-query";
import { hide, like, play, show, unlike, type Action } from "../api/events";
import { useSay } from "../parts/toasts";

export interface Feedback {
  liked: ReadonlySet<string>;
  hidden: ReadonlySet<string>;
  play: (itemId: string, name: string) => void;
  like: (itemId: string, name: string) => void;
  hide: (itemId: string, name: string) => void;
}

export function useFeedback(userId: string, recommendationId?: string): Feedback {
  const [liked, setLiked] = useState<ReadonlySet<string>>(new Set());
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const say = useSay();
  const client = useQueryClient();
  const action = (itemId: string): Action => ({ userId, itemId, recommendationId });

  /** Change a set now; take it back if the platform refuses. */
  const change = (set: typeof setLiked, itemId: string, within: boolean, work: Promise<unknown>): void => {
    set((before) => edited(before, itemId, within));
    work.catch((error: unknown) => {
      set((before) => edited(before, itemId, !within));
      say((error as Error).message, { tone: "bad" });
    });
  };
  const unhide = (itemId: string): void => change(setHidden, itemId, false, show(action(itemId)));
  const dislike = (itemId: string): void => change(setLiked, itemId, false, unlike(action(itemId)));

  return {
    liked,
    hidden,
    play: (itemId, name) => {
      say(`Played ${name}`);
      play(action(itemId))
        .then(() => client.invalidateQueries({ queryKey: ["recent", userId] }))
        .catch((error: unknown) => say((error as Error).message, { tone: "bad" }));
    },
    like: (itemId, name) => {
      if (liked.has(itemId)) {
        dislike(itemId);
        return;
      }
      change(setLiked, itemId, true, like(action(itemId)));
      say(`Liked ${name}`, { undo: () => dislike(itemId) });
    },
    hide: (itemId, name) => {
      change(setHidden, itemId, true, hide(action(itemId)));
      say(`${name} will not be recommended again`, { undo: () => unhide(itemId) });
    },
  };
}

function edited(before: ReadonlySet<string>, itemId: string, within: boolean): ReadonlySet<string> {
  const after = new Set(before);
  if (within) after.add(itemId);
  else after.delete(itemId);
  return after;
}

/** Recent plays, and those that come while one looks: server-sent events, joined to what was asked for. */
import { useEffect, useState } from "react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { get } from "../api/client";
import type { Play, RecentPlays } from "../api/types";

export const KEPT = 20;

/** What tells a play from every other of one listener. */
export const playKey = (play: Play): string => `${play.item_id} ${Date.parse(play.played_at)}`;

/** Join plays that are the same, the newest first; of two that are, the later known one stays. */
export function joined(known: readonly Play[], more: readonly Play[]): Play[] {
  const byId = new Map([...known, ...more].map((play) => [playKey(play), play]));
  return [...byId.values()].sort((one, other) => Date.parse(other.played_at) - Date.parse(one.played_at)).slice(0, KEPT);
}

export function useLivePlays(userId: string) {
  const client = useQueryClient();
  const [live, setLive] = useState(false);
  const answer = useQuery({
    queryKey: ["recent", userId],
    queryFn: async ({ signal }) => {
      const asked = await get<RecentPlays>(`/users/${encodeURIComponent(userId)}/recent`, { limit: KEPT }, signal);
      // What came meanwhile by the stream may not be in the store yet.
      const before = client.getQueryData<RecentPlays>(["recent", userId]);
      return { ...asked, plays: joined(before?.plays ?? [], asked.plays) };
    },
  });
  useEffect(() => {
    const stream = new EventSource(`/users/${encodeURIComponent(userId)}/plays`);
    stream.onopen = () => setLive(true);
    stream.onerror = () => setLive(false);
    stream.addEventListener("play", (event: MessageEvent<string>) => {
      const play = JSON.parse(event.data) as Play;
      client.setQueryData<RecentPlays>(["recent", userId], (before) =>
        before ? { ...before, plays: joined(before.plays, [play]) } : before,
      );
    });
    return () => {
      stream.close();
      setLive(false);
    };
  }, [client, userId]);
  return { answer, live };
}

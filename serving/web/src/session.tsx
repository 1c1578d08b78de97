/** Who looks at the page, and whose listening it shows. */
import { createContext, useContext, useEffect, useMemo, useState, type ReactNode } from "react";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { ask, get, protectWith } from "./api/client";
import type { Session } from "./api/types";

interface Who {
  session: Session;
  /** The listener that is shown; null: none is chosen yet. */
  listener: string | null;
  /** Whether another one may be chosen. */
  free: boolean;
  choose: (userId: string) => void;
}

const KEY = "music.listener";
const WhoContext = createContext<Who | null>(null);

export function useWho(): Who {
  const who = useContext(WhoContext);
  if (!who) throw new Error("useWho outside of WhoProvider");
  return who;
}

export const useSession = () =>
  useQuery({
    queryKey: ["session"],
    queryFn: async ({ signal }) => {
      const session = await get<Session>("/session", undefined, signal);
      protectWith(session.csrf);
      return session;
    },
    staleTime: Infinity,
  });

/** Sign in or out: whatever another person was told is forgotten. */
export function useSign() {
  const client = useQueryClient();
  const forget = (): void => client.removeQueries({ predicate: ({ queryKey }) => queryKey[0] !== "session" });
  return {
    signIn: async (account: string, password: string): Promise<void> => {
      const session = await ask<Session>("POST", "/session", { body: { account, password } });
      protectWith(session.csrf);
      client.setQueryData(["session"], session);
      forget();
    },
    signOut: async (): Promise<void> => {
      await ask("DELETE", "/session");
      remember(null);
      protectWith(null);
      await client.refetchQueries({ queryKey: ["session"] });
      forget();
    },
  };
}

function remembered(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function remember(userId: string | null): void {
  try {
    if (userId === null) localStorage.removeItem(KEY);
    else localStorage.setItem(KEY, userId);
  } catch {
    // Then it holds until the page is closed.
  }
}

export function WhoProvider({ session, children }: { session: Session; children: ReactNode }) {
  const [chosen, setChosen] = useState(remembered);
  const own = session.user_id;
  useEffect(() => remember(session.operator ? chosen : null), [session.operator, chosen]);
  const who = useMemo<Who>(
    () => ({
      session,
      listener: session.operator ? (chosen ?? own) : own,
      free: session.operator,
      choose: setChosen,
    }),
    [session, own, chosen],
  );
  return <WhoContext value={who}>{children}</WhoContext>;
}

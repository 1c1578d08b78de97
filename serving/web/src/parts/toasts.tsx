/** Short messages at the edge: what was done, and the way back. */
import { createContext, useCallback, useContext, useState, type ReactNode } from "react";
import { Toast } from "radix-ui";

interface Note {
  id: number;
  text: string;
  tone: "plain" | "bad";
  undo: (() => void) | undefined;
}

type Say = (text: string, more?: { undo?: () => void; tone?: "plain" | "bad" }) => void;

const SayContext = createContext<Say>(() => undefined);
const SHOWN_MS = 7_000;
const AT_ONCE = 3;

export const useSay = (): Say => useContext(SayContext);

export function Toasts({ children }: { children: ReactNode }) {
  const [notes, setNotes] = useState<Note[]>([]);
  const drop = useCallback((id: number) => setNotes((all) => all.filter((note) => note.id !== id)), []);
  const say = useCallback<Say>((text, more = {}) => {
    const note = { id: performance.now(), text, tone: more.tone ?? "plain", undo: more.undo };
    setNotes((all) => [...all, note].slice(-AT_ONCE));
  }, []);
  return (
    <SayContext value={say}>
      <Toast.Provider duration={SHOWN_MS} swipeDirection="right" label="Message">
        {children}
        {notes.map((note) => (
          <Toast.Root key={note.id} className={`toast toast-${note.tone}`} onOpenChange={(open) => !open && drop(note.id)}>
            <Toast.Description className="toast-text">{note.text}</Toast.Description>
            {note.undo && (
              <Toast.Action asChild altText="Take it back with the same button">
                <button type="button" className="button button-quiet" onClick={note.undo}>
                  Undo
                </button>
              </Toast.Action>
            )}
          </Toast.Root>
        ))}
        <Toast.Viewport className="toasts" />
      </Toast.Provider>
    </SayContext>
  );
}

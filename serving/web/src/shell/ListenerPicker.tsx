/** Choose whose listening is shown: for operators, and where nobody signs in. */
import { useDeferredValue, useId, useState } from "react";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Dialog } from "radix-ui";
import { get } from "../api/client";
import type { Users } from "../api/types";
import { Icon } from "../parts/Icon";
import { Empty, Loaded, SkeletonRows } from "../parts/states";
import { useWho } from "../session";

export function ListenerPicker() {
  const { listener } = useWho();
  const [open, setOpen] = useState(false);
  return (
    <Dialog.Root open={open} onOpenChange={setOpen}>
      <Dialog.Trigger className="button picker">
        <Icon name="person" />
        <span className="picker-name">{listener ?? "Choose a listener"}</span>
        <Icon name="chevron" />
      </Dialog.Trigger>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog" aria-describedby={undefined}>
          <div className="dialog-head">
            <Dialog.Title>Whose listening?</Dialog.Title>
            <Dialog.Close className="button button-icon" aria-label="Close">
              <Icon name="close" />
            </Dialog.Close>
          </div>
          <ListenerList chosen={() => setOpen(false)} />
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

export function ListenerList({ chosen }: { chosen?: () => void }) {
  const { choose, listener } = useWho();
  const [text, setText] = useState("");
  const prefix = useDeferredValue(text.trim());
  const id = useId();
  const answer = useQuery({
    queryKey: ["users", prefix],
    queryFn: ({ signal }) => get<Users>("/users", { prefix, limit: 20 }, signal),
    placeholderData: keepPreviousData,
  });
  const take = (userId: string): void => {
    choose(userId);
    chosen?.();
  };
  return (
    <div className="listeners">
      <label htmlFor={id} className="unseen">
        Begin of the user id
      </label>
      <input
        id={id} className="input" placeholder="Begin of the user id" value={text} autoComplete="off" spellCheck={false}
        onChange={(event) => setText(event.target.value)}
      />
      <Loaded answer={answer} skeleton={<SkeletonRows rows={6} kind="line" />}>
        {({ users }) =>
          users.length ? (
            <ul className="listener-list">
              {users.map(({ user_id }) => (
                <li key={user_id}>
                  <button type="button" className="listener" aria-current={user_id === listener} onClick={() => take(user_id)}>
                    {user_id}
                  </button>
                </li>
              ))}
            </ul>
          ) : (
            <Empty title={prefix ? "Nobody of this name" : "Nobody has listened yet"}>
              {prefix ? "Ids are compared from their first letter on." : "Listeners are here as soon as their first event is."}
            </Empty>
          )
        }
      </Loaded>
    </div>
  );
}

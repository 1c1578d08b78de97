/** Send dead letters to their topics once more: asked here, done by a run, followed until it ended. */
import { useEffect, useEffectEvent } from "react";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Dialog } from "radix-ui";
import { ask, get } from "../api/client";
import type { DeadLetters, Redrive as Found } from "../api/types";
import { plural } from "../format";
import { Icon } from "../parts/Icon";
import { Badge, Wrong } from "../parts/states";
import type { Choice } from "./DeadLetters";
import { Words } from "../parts/Words";

const POLL_MS = 1_000;
const TONES = { asked: "plain", running: "plain", done: "good", failed: "bad" } as const;
const ended = (state: Found["state"] | undefined): boolean => state === "done" || state === "failed";

interface Props {
  choice: Choice;
  counts: DeadLetters["counts"];
  done: () => void;
}

export function Redrive({ choice, counts, done }: Props) {
  const chosen = counts.filter(({ topic, reason }) => (choice.topic ?? topic) === topic && (choice.reason ?? reason) === reason);
  const rows = chosen.reduce((sum, each) => sum + each.rows, 0);
  const what = choice.topic ? `${plural(rows, "dead letter")} of ${choice.topic}, ${choice.reason ?? "any reason"}` : `all ${plural(rows, "dead letter")}`;
  const asking = useMutation({ mutationFn: () => ask<Found>("POST", "/operator/redrives", { body: { ...choice, since: null } }) });
  return (
    <Dialog.Root onOpenChange={(open) => open && asking.reset()}>
      <Dialog.Trigger className="button button-strong" disabled={rows === 0}>
        <Icon name="redo" /> Redrive…
      </Dialog.Trigger>
      <Dialog.Portal>
        <Dialog.Overlay className="overlay" />
        <Dialog.Content className="dialog">
          <div className="dialog-head">
            <Dialog.Title>Redrive</Dialog.Title>
            <Dialog.Close className="button button-icon" aria-label="Close">
              <Icon name="close" />
            </Dialog.Close>
          </div>
          <Dialog.Description>
            Send {what} to their topics once more. A message that is still broken comes back here; none is sent twice.
          </Dialog.Description>
          {asking.error && <Wrong error={asking.error} />}
          {asking.data ? (
            <Progress asked={asking.data} done={done} />
          ) : (
            <button type="button" className="button button-strong" onClick={() => asking.mutate()} disabled={asking.isPending}>
              Redrive {what}
            </button>
          )}
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function Progress({ asked, done }: { asked: Found; done: () => void }) {
  const answer = useQuery({
    queryKey: ["redrive", asked.redrive_id],
    queryFn: ({ signal }) => get<Found>(`/operator/redrives/${encodeURIComponent(asked.redrive_id)}`, undefined, signal),
    initialData: asked,
    staleTime: 0,
    refetchInterval: ({ state }) => (ended(state.data?.state) ? false : POLL_MS),
  });
  const { state, sentence: words } = answer.data;
  const over = ended(state);
  const tell = useEffectEvent(done);
  useEffect(() => {
    if (over) tell();
  }, [over]);
  return (
    <div className="progress" role="status">
      <Badge tone={TONES[state]}>{state}</Badge>
      <p>{words ? <Words>{words}</Words> : "The request is written down; the next run takes it."}</p>
    </div>
  );
}

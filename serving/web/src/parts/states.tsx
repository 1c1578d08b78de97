/** What stands where something else will, does not, or did: loading, empty, wrong, and how old. */
import type { ReactNode } from "react";
import { ProblemError } from "../api/client";
import { ago, at } from "../format";
import { useNow } from "../useNow";
import { Icon } from "./Icon";

/** Rows as high as those that will stand there, so that nothing jumps. */
export function SkeletonRows({ rows, kind = "row" }: { rows: number; kind?: "row" | "line" | "tile" }) {
  return (
    <div className={`skeletons skeletons-${kind}`} role="status">
      <span className="unseen">Loading</span>
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className={`skeleton skeleton-${kind}`} aria-hidden="true">
          {kind === "row" && <span className="bone bone-cover" />}
          <span className="bone bone-long" />
          <span className="bone bone-short" />
        </div>
      ))}
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      <p className="empty-title">{title}</p>
      {children && <p>{children}</p>}
    </div>
  );
}

/** A problem as the sentence that the API gave it. */
export function Wrong({ error, retry }: { error: Error; retry?: () => void }) {
  const status = error instanceof ProblemError && error.status > 0 ? ` (${error.status})` : "";
  return (
    <div className="wrong" role="alert">
      <Icon name="alert" />
      <p>
        {error.message}
        <span className="quiet">{status}</span>
      </p>
      {retry && (
        <button type="button" className="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

interface AsOfProps {
  time: string | null | undefined;
  degraded?: boolean | undefined;
  children?: ReactNode;
}

/** When an answer was made, and whether something older or simpler stands in. */
export function AsOf({ time, degraded = false, children }: AsOfProps) {
  const now = useNow();
  return (
    <p className="as-of">
      {degraded && (
        <span className="badge badge-late" title="A part does not answer: this is older or simpler than it could be.">
          degraded
        </span>
      )}
      {children}
      {time ? (
        <span>
          as of <time dateTime={time} title={at(time)}>{ago(time, now)}</time>
        </span>
      ) : (
        <span>nothing made yet</span>
      )}
    </p>
  );
}

export function Badge({ tone, children }: { tone: "good" | "late" | "bad" | "plain"; children: ReactNode }) {
  return <span className={`badge badge-${tone}`}>{children}</span>;
}

export interface Answer<T> {
  data: T | undefined;
  error: Error | null;
  refetch: () => unknown;
}

/** One of three: what was answered, the problem, or the skeleton. An old answer stays while a new one is asked for. */
export function Loaded<T>({ answer, skeleton, children }: { answer: Answer<T>; skeleton: ReactNode; children: (data: T) => ReactNode }) {
  if (answer.data !== undefined) {
    return (
      <>
        {answer.error && <Wrong error={answer.error} retry={() => void answer.refetch()} />}
        {children(answer.data)}
      </>
    );
  }
  if (answer.error) return <Wrong error={answer.error} retry={() => void answer.refetch()} />;
  return skeleton;
}

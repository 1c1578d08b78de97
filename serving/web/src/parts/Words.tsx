import { sentence } from "../api/client";

/** A sentence of the platform; what stands between backticks is a command or a name. */
export function Words({ children }: { children: string }) {
  return <>{sentence(children).split("`").map((part, index) => (index % 2 ? <code key={index}>{part}</code> : part))}</>;
}

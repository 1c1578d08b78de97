/** Where an item came from: up, down, new, or where it was. */
export function Move({ rank, before }: { rank: number; before: number | null | undefined }) {
  if (before === null || before === undefined) return <span className="move move-new">new</span>;
  const by = before - rank;
  if (by === 0) return <span className="move" aria-label="as before">–</span>;
  return (
    <span className={`move ${by > 0 ? "move-up" : "move-down"}`} aria-label={`${by > 0 ? "up" : "down"} ${Math.abs(by)}`}>
      {by > 0 ? "▲" : "▼"} {Math.abs(by)}
    </span>
  );
}

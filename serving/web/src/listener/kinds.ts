export type Kind = "all" | "track" | "artist" | "album";

export const KINDS: readonly { value: Kind; label: string }[] = [
  { value: "all", label: "All" },
  { value: "track", label: "Tracks" },
  { value: "artist", label: "Artists" },
  { value: "album", label: "Albums" },
];

/** What the API answers, as its own description says; `schema.d.ts` is made of it at each build. */
import type { components } from "./schema";

type Schemas = components["schemas"];

export type Problem = Schemas["Problem"];
export type Recommendations = Schemas["RecommendationAnswer"];
export type Recommended = Schemas["RecommendedItem"];
export type Similar = Schemas["SimilarAnswer"];
export type Ingest = Schemas["IngestAnswer"];
export type Stats = Schemas["StatsAnswer"];
export type TopItem = Schemas["TopItem"];
export type Search = Schemas["SearchAnswer"];
export type Trending = Schemas["TrendingAnswer"];
export type Chart = Schemas["ChartAnswer"];
export type Item = Schemas["ItemAnswer"];
export type Freshness = Schemas["FreshnessAnswer"];
export type Step = Schemas["StepFreshness"];
export type Ledger = Schemas["LedgerAnswer"];
export type Health = Schemas["HealthAnswer"];

export type Session = Schemas["SessionAnswer"];
export type Play = Schemas["Play"];
export type RecentPlays = Schemas["RecentAnswer"];
export type Users = Schemas["UsersAnswer"];

export interface DeadLetter {
  topic: string;
  partition: number;
  offset: number;
  reason: string;
  field: string | null;
  at: string;
  redriven: boolean;
  raw: string;
}

export interface DeadLetters {
  deadletters: DeadLetter[];
  counts: { topic: string; reason: string; rows: number }[];
  next: string | null;
  as_of: string | null;
  degraded: boolean;
}

export interface Redrive {
  redrive_id: string;
  state: "asked" | "running" | "done" | "failed";
  sentence?: string;
}

export interface Topics {
  topics: { topic: string; partitions: number; messages: number; oldest: string | null; newest: string | null }[];
}

export interface Message {
  partition: number;
  offset: number;
  timestamp: string;
  key: string | null;
  headers: Record<string, string>;
  value: string;
}

export interface Messages {
  messages: Message[];
  next: string | null;
}

export interface Streams {
  queries: {
    query: string;
    topic: string | null;
    state: string;
    lag: number | null;
    last_batch_at: string | null;
    halted: boolean;
    sentence: string;
  }[];
}

export interface Rated {
  model: string;
  ndcg: number;
  low: number;
  high: number;
  recall: number;
  coverage: number;
  seconds: number;
}

export interface Models {
  champion: string | null;
  releases: { version: string; at: string; verdict: string; reason: string }[];
  leaderboard: Rated[];
  as_of: string | null;
  degraded: boolean;
}

export interface Sources {
  sources: { source: string; state: string; last_event_at: string | null; sentence: string }[];
  gaps: { source: string; user_id: string | null; from: string; until: string; sentence: string }[];
  as_of: string | null;
  degraded: boolean;
}

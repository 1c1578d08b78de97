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

export type DeadLetters = Schemas["DeadLettersAnswer"];
export type DeadLetter = DeadLetters["deadletters"][number];
export type Redrive = Schemas["RedriveAnswer"];
export type Topics = Schemas["TopicsAnswer"];
export type Messages = Schemas["MessagesAnswer"];
export type Message = Messages["messages"][number];
export type Streams = Schemas["StreamsAnswer"];
export type Models = Schemas["ModelsAnswer"];
export type Rated = Models["leaderboard"][number];
export type Sources = Schemas["SourcesAnswer"];

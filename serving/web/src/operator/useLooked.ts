import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { get } from "../api/client";

const EVERY_MS = 10_000;

/** An answer that is asked for again every ten seconds while somebody looks. */
export const useLooked = <T>(path: string, query?: Record<string, string | number | null>) =>
  useQuery({
    queryKey: [path, query ?? {}],
    queryFn: ({ signal }) => get<T>(path, query, signal),
    refetchInterval: EVERY_MS,
    placeholderData: keepPreviousData,
  });

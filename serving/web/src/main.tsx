import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { BrowserRouter } from "react-router";
import { ProblemError } from "./api/client";
import { App } from "./app";
import { Toasts } from "./parts/toasts";
import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/shell.css";
import "./styles/parts.css";
import "./styles/listener.css";
import "./styles/operator.css";

const RETRIES = 2;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      // What was asked wrongly stays wrong; a part that is away may come back.
      retry: (failures, error) =>
        failures < RETRIES && (!(error instanceof ProblemError) || error.status === 0 || error.status >= 500),
      retryDelay: (attempt) => 400 * 2 ** attempt,
    },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={client}>
      <BrowserRouter basename="/app">
        <Toasts>
          <App />
        </Toasts>
      </BrowserRouter>
    </QueryClientProvider>
  </StrictMode>,
);

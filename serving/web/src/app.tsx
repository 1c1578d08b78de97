/** Routes: each page is a file of its own that comes when it is first looked at. */
import { lazy, Suspense, useEffect, useRef } from "react";
import { Navigate, Route, Routes, useLocation } from "react-router";
import { Home } from "./listener/Home";
import { Empty, SkeletonRows, Wrong } from "./parts/states";
import { useSession, useWho, WhoProvider } from "./session";
import { Shell } from "./shell/Shell";
import { SignIn } from "./shell/SignIn";

const Stats = lazy(() => import("./listener/Stats"));
const Search = lazy(() => import("./listener/Search"));
const Trending = lazy(() => import("./listener/Trending"));
const Charts = lazy(() => import("./listener/Charts"));
const Item = lazy(() => import("./listener/Item"));
const Overview = lazy(() => import("./operator/Overview"));
const DeadLetters = lazy(() => import("./operator/DeadLetters"));
const Topics = lazy(() => import("./operator/Topics"));
const Messages = lazy(() => import("./operator/Messages"));
const Models = lazy(() => import("./operator/Models"));
const Sources = lazy(() => import("./operator/Sources"));

export function App() {
  const session = useSession();
  if (session.data?.signed_in) {
    return (
      <WhoProvider session={session.data}>
        <Pages />
      </WhoProvider>
    );
  }
  if (session.data) return <SignIn />;
  return <main className="alone">{session.error ? <Wrong error={session.error} retry={() => void session.refetch()} /> : null}</main>;
}

function Pages() {
  useFocusOnTheNewPage();
  return (
    <Shell>
      <Suspense fallback={<SkeletonRows rows={8} />}>
        <Routes>
          <Route index element={<Home />} />
          <Route path="stats" element={<Stats />} />
          <Route path="search" element={<Search />} />
          <Route path="trending" element={<Trending />} />
          <Route path="charts" element={<Charts />} />
          <Route path="item" element={<Item />} />
          <Route path="operator/*" element={<Operator />} />
          <Route path="*" element={<Empty title="There is no such page">The ways from here are beside this text.</Empty>} />
        </Routes>
      </Suspense>
    </Shell>
  );
}

function Operator() {
  if (!useWho().session.operator) {
    return <Empty title="This is for operators">Your account shows one listener's own page.</Empty>;
  }
  return (
    <Routes>
      <Route index element={<Overview />} />
      <Route path="dead-letters" element={<DeadLetters />} />
      <Route path="topics" element={<Topics />} />
      <Route path="topics/:topic" element={<Messages />} />
      <Route path="models" element={<Models />} />
      <Route path="sources" element={<Sources />} />
      <Route path="*" element={<Navigate to="/operator" replace />} />
    </Routes>
  );
}

/** A new page begins at its top, and a screen reader is told by the focus; the first page is left alone. */
function useFocusOnTheNewPage() {
  const { pathname } = useLocation();
  const before = useRef(pathname);
  useEffect(() => {
    if (before.current === pathname) return;
    before.current = pathname;
    window.scrollTo(0, 0);
    document.getElementById("content")?.focus({ preventScroll: true });
  }, [pathname]);
}

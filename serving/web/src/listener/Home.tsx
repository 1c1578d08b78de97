import { ListenerList } from "../shell/ListenerPicker";
import { PageHead } from "../parts/PageHead";
import { useWho } from "../session";
import { RecentPlays } from "./RecentPlays";
import { ForYou } from "./ForYou";

export function Home() {
  const { listener } = useWho();
  if (listener === null) {
    return (
      <div className="welcome">
        <PageHead title="Whose listening?" below={<p className="as-of">Choose a listener to see their page; you can change it at any time.</p>} />
        <ListenerList />
      </div>
    );
  }
  return (
    <div className="home">
      <ForYou key={listener} userId={listener} />
      <RecentPlays userId={listener} />
    </div>
  );
}

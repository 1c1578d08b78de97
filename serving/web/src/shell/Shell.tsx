/** What surrounds every page: the ways, whose listening is shown, and the theme. */
import { type ReactNode } from "react";
import { Link, NavLink, useLocation } from "react-router";
import { Icon, type IconName } from "../parts/Icon";
import { useWho } from "../session";
import { AccountMenu } from "./AccountMenu";
import { ListenerPicker } from "./ListenerPicker";
import { ThemeSwitch } from "./ThemeSwitch";

interface Way {
  to: string;
  label: string;
  icon: IconName;
}

const LISTEN: Way[] = [
  { to: "/", label: "For you", icon: "home" },
  { to: "/stats", label: "Listening", icon: "stats" },
  { to: "/search", label: "Search", icon: "search" },
  { to: "/trending", label: "Trending", icon: "trending" },
  { to: "/charts", label: "Charts", icon: "charts" },
];

const OPERATE: Way[] = [
  { to: "/operator", label: "Overview", icon: "pulse" },
  { to: "/operator/dead-letters", label: "Dead letters", icon: "letters" },
  { to: "/operator/topics", label: "Topics", icon: "topics" },
  { to: "/operator/models", label: "Models", icon: "models" },
  { to: "/operator/sources", label: "Sources", icon: "sources" },
];

export function Shell({ children }: { children: ReactNode }) {
  const { session, free } = useWho();
  const operating = useLocation().pathname.startsWith("/operator");
  return (
    <div className={`shell ${operating ? "shell-operating" : "shell-listening"}`}>
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="bar">
        <Link to="/" className="brand" aria-label="Music, home">
          <svg viewBox="0 0 32 32" aria-hidden="true" focusable="false">
            <path d="M6 13v6M12.7 8v16M19.3 11.5v9M26 14.5v3" />
          </svg>
          <span>Music</span>
        </Link>
        {session.operator && (
          <Link to={operating ? "/" : "/operator"} className="cross">
            {operating ? "Listen" : "Operate"}
          </Link>
        )}
        <div className="bar-tools">
          {free && <ListenerPicker />}
          <ThemeSwitch />
          {session.account !== null && <AccountMenu />}
        </div>
      </header>
      <nav className="ways" aria-label="Pages">
        <Ways title="Listen" ways={LISTEN} id="listen" />
        {session.operator && <Ways title="Operate" ways={OPERATE} id="operate" />}
      </nav>
      <main id="content" className="content" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}

function Ways({ title, ways, id }: { title: string; ways: Way[]; id: string }) {
  return (
    <div className={`ways-group ways-${id}`}>
      <p className="ways-title" id={`ways-${id}`}>
        {title}
      </p>
      <ul aria-labelledby={`ways-${id}`}>
        {ways.map((way) => (
          <li key={way.to}>
            <NavLink to={way.to} end={way.to === "/" || way.to === "/operator"} className="way">
              <Icon name={way.icon} />
              <span>{way.label}</span>
            </NavLink>
          </li>
        ))}
      </ul>
    </div>
  );
}

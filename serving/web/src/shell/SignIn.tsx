import { useEffect, useId, useState, type SubmitEvent } from "react";
import { Cover } from "../parts/Cover";
import { Wrong } from "../parts/states";
import { useSign } from "../session";
import { ThemeSwitch } from "./ThemeSwitch";

const DRAWN = ["artist:evening", "track:river", "album:window", "track:kite", "artist:north"];

export function SignIn() {
  const { signIn } = useSign();
  const [error, setError] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();
  useEffect(() => {
    document.title = "Sign in · Music";
  }, []);
  const submit = (event: SubmitEvent<HTMLFormElement>): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const text = (name: string): string => {
      const value = form.get(name);
      return typeof value === "string" ? value : "";
    };
    setBusy(true);
    signIn(text("account").trim(), text("password"))
      .catch((problem: unknown) => setError(problem as Error))
      .finally(() => setBusy(false));
  };
  return (
    <main className="alone">
      <form className="sign-in" onSubmit={submit}>
        <div className="sign-in-covers">
          {DRAWN.map((itemId) => (
            <Cover key={itemId} itemId={itemId} />
          ))}
        </div>
        <h1>Sign in</h1>
        <label htmlFor={`${id}-account`}>Account</label>
        <input id={`${id}-account`} name="account" className="input" autoComplete="username" required maxLength={200} />
        <label htmlFor={`${id}-password`}>Password</label>
        <input id={`${id}-password`} name="password" type="password" className="input" autoComplete="current-password" required />
        <button type="submit" className="button button-strong" disabled={busy}>
          {busy ? "Signing in…" : "Sign in"}
        </button>
        {error && <Wrong error={error} />}
        <p className="quiet">
          An account is made by who runs this place: <code>music account create</code>
        </p>
      </form>
      <div className="alone-tools">
        <ThemeSwitch />
      </div>
    </main>
  );
}

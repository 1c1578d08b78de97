import { useEffect, type ReactNode } from "react";

interface Props {
  title: string;
  below?: ReactNode;
  children?: ReactNode;
}

/** The head of a page: its title, how old it is, and what it can be asked for. */
export function PageHead({ title, below, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Music`;
  }, [title]);
  return (
    <header className="page-head">
      <div>
        <h1 tabIndex={-1}>{title}</h1>
        {below}
      </div>
      {children && <div className="page-tools">{children}</div>}
    </header>
  );
}

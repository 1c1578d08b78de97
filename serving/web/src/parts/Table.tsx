import type { ReactNode } from "react";

interface Column<T> {
  head: string;
  cell: (row: T) => ReactNode;
  number?: boolean;
  /** Names the row, for who hears the table. */
  names?: boolean;
}

interface Props<T> {
  label: string;
  columns: Column<T>[];
  rows: T[];
  id: (row: T) => string;
}

/** A table that scrolls within itself where the screen is narrower than it is. */
export function Table<T>({ label, columns, rows, id }: Props<T>) {
  return (
    <div className="scroll" tabIndex={0} role="region" aria-label={`${label}, table`}>
      <table className="table">
        <thead>
          <tr>
            {columns.map((column) => (
              <th key={column.head} scope="col" className={column.number ? "number" : undefined}>
                {column.head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <tr key={id(row)}>
              {columns.map((column) =>
                column.names ? (
                  <th key={column.head} scope="row">
                    {column.cell(row)}
                  </th>
                ) : (
                  <td key={column.head} className={column.number ? "number" : undefined}>
                    {column.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

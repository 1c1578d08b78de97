/** Bars on a canvas by uPlot, drawn in the page's colours; the same numbers stand in a table below it. */
import { useEffect, useId, useRef } from "react";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { count } from "../format";
import { useSeenTheme } from "../theme";

interface Props {
  title: string;
  /** The plot as a sentence. */
  summary: string;
  labels: string[];
  /** Labels below the bars, where the whole ones are too long. */
  short?: string[];
  values: number[];
  /** What the numbers count, for the table. */
  measure: string;
  /** Head of the labels' column. */
  of: string;
}

const HEIGHT = 168;
const BAR_SHARE = 0.72;
const WIDEST_BAR = 44;

const colour = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(width: number, labels: string[], tip: HTMLElement, told: (index: number) => string): uPlot.Options {
  const [ink, line, bar] = [colour("--quiet"), colour("--line"), colour("--accent-bar")];
  const font = `12px ${colour("--sans")}`;
  return {
    width,
    height: HEIGHT,
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    scales: { x: { time: false, range: (_plot, low, high) => [low - 0.6, high + 0.6] }, y: { range: (_plot, _low, high) => [0, Math.max(high, 1) * 1.06] } },
    series: [{}, { fill: bar, stroke: bar, width: 0, points: { show: false }, paths: uPlot.paths.bars?.({ size: [BAR_SHARE, WIDEST_BAR], radius: 0.12 }) ?? (() => null) }],
    axes: [
      { stroke: ink, font, size: 24, gap: 4, grid: { show: false }, ticks: { show: false }, space: 44, incrs: [1, 2, 3, 6, 7, 14, 30, 60, 90], values: (_plot, ticks) => ticks.map((tick) => labels[tick] ?? "") },
      { stroke: ink, font, size: 40, gap: 6, space: 36, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000], grid: { stroke: line, width: 1 }, ticks: { show: false }, values: (_plot, ticks) => ticks.map((tick) => count(tick)) },
    ],
    hooks: {
      setCursor: [
        (plot) => {
          const { idx, left = -1 } = plot.cursor;
          tip.hidden = idx === null || idx === undefined || left < 0;
          if (tip.hidden || idx === null || idx === undefined) return;
          tip.textContent = told(idx);
          const x = plot.valToPos(idx, "x") + plot.bbox.left / devicePixelRatio;
          tip.style.left = `${Math.min(Math.max(x, 60), width - 60)}px`;
        },
      ],
    },
  };
}

export function BarPlot({ title, summary, labels, short = labels, values, measure, of }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const tip = useRef<HTMLDivElement>(null);
  const theme = useSeenTheme();
  const id = useId();
  useEffect(() => {
    const [box, note] = [place.current, tip.current];
    if (!box || !note) return;
    const told = (index: number): string => `${labels[index] ?? ""}: ${count(values[index] ?? 0)}`;
    const data: uPlot.AlignedData = [labels.map((_, index) => index), values];
    const plot = new uPlot(options(box.clientWidth, short, note, told), data, box);
    const watch = new ResizeObserver(() => plot.setSize({ width: box.clientWidth, height: HEIGHT }));
    watch.observe(box);
    return () => {
      watch.disconnect();
      plot.destroy();
    };
    // The colours are read from the page, so another theme is another drawing.
  }, [labels, short, values, theme]);
  return (
    <figure className="plot" aria-labelledby={`${id}-title`}>
      <figcaption>
        <h2 id={`${id}-title`}>{title}</h2>
        <p className="quiet">{summary}</p>
      </figcaption>
      <div className="plot-place" ref={place} aria-hidden="true">
        <div className="plot-tip" ref={tip} hidden />
      </div>
      <details>
        <summary>As a table</summary>
        <div className="scroll" tabIndex={0} role="region" aria-label={`${title}, as a table`}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col">{of}</th>
                <th scope="col" className="number">
                  {measure}
                </th>
              </tr>
            </thead>
            <tbody>
              {labels.map((label, index) => (
                <tr key={label}>
                  <th scope="row">{label}</th>
                  <td className="number">{count(values[index] ?? 0)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      </details>
    </figure>
  );
}

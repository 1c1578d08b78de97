/** A cover that is drawn from an item's id: the same id is the same picture, everywhere and for ever. */
import { memo, type ReactNode } from "react";

interface Draw {
  ink: string;
  pale: string;
  number: (index: number, below: number) => number;
}

/** FNV-1a, 32 bit, then one step of a generator for each byte that is asked for. */
function bytes(text: string): number[] {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  }
  return Array.from({ length: 16 }, () => {
    hash = (Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (hash >>> 8) & 0xffff;
  });
}

const rings = ({ ink, pale, number }: Draw): ReactNode => {
  const [x, y] = [number(2, 3) * 32, number(3, 3) * 32];
  return [58, 46, 34, 22, 10].map((radius, index) => (
    <circle key={radius} cx={x} cy={y} r={radius} fill={index % 2 ? ink : pale} />
  ));
};

const stripes = ({ ink, pale, number }: Draw): ReactNode => (
  <g transform={`rotate(${number(2, 8) * 22.5} 32 32)`}>
    {Array.from({ length: 6 }, (_, index) => (
      <rect key={index} x={-16} y={-14 + index * 17} width={96} height={3 + number(3 + index, 9)} fill={index % 3 ? pale : ink} />
    ))}
  </g>
);

const halves = ({ ink, pale, number }: Draw): ReactNode =>
  Array.from({ length: 4 }, (_, index) => {
    const [x, y] = [(index % 2) * 32, Math.floor(index / 2) * 32];
    return (
      <path
        key={index}
        d="M0 16a16 16 0 0 1 32 0z"
        fill={number(3 + index, 2) ? ink : pale}
        transform={`translate(${x} ${y}) rotate(${number(8 + index, 4) * 90} 16 16)`}
      />
    );
  });

const hills = ({ ink, pale, number }: Draw): ReactNode => (
  <>
    <circle cx={14 + number(2, 36)} cy={14 + number(3, 10)} r={7 + number(4, 5)} fill={pale} />
    <path d={`M0 ${36 + number(5, 8)}Q16 ${22 + number(6, 14)} 32 ${36 + number(7, 8)}T64 ${34 + number(8, 10)}V64H0z`} fill={pale} opacity="0.55" />
    <path d={`M0 ${46 + number(9, 6)}Q20 ${36 + number(10, 10)} 38 ${48 + number(11, 5)}T64 ${44 + number(12, 8)}V64H0z`} fill={ink} />
  </>
);

const bars = ({ ink, pale, number }: Draw): ReactNode =>
  Array.from({ length: 7 }, (_, index) => {
    const height = 10 + number(2 + index, 44);
    return <rect key={index} x={5 + index * 8} y={32 - height / 2} width={5} height={height} rx={2.5} fill={index === number(10, 7) ? ink : pale} />;
  });

const DRAWINGS = [rings, stripes, halves, hills, bars];

interface Props {
  itemId: string;
  size?: "small" | "medium" | "large";
}

/** Decoration only: the name stands beside it. Artists are round, tracks and albums are square. */
export const Cover = memo(function Cover({ itemId, size = "medium" }: Props) {
  const found = bytes(itemId);
  const number = (index: number, below: number): number => (found[index % 16] ?? 0) % below;
  const hue = number(0, 360);
  const other = (hue + ([32, 150, 190, 215][number(1, 4)] ?? 180)) % 360;
  const draw = DRAWINGS[number(13, DRAWINGS.length)] ?? rings;
  const round = itemId.startsWith("artist:");
  return (
    <svg className={`cover cover-${size}${round ? " cover-round" : ""}`} viewBox="0 0 64 64" aria-hidden="true" focusable="false">
      <rect width="64" height="64" fill={`hsl(${hue} 38% 42%)`} />
      {draw({ ink: `hsl(${other} 52% 26%)`, pale: `hsl(${other} 58% 78%)`, number })}
    </svg>
  );
});

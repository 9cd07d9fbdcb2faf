// The tooltip of a chart: what each line is where the pointer is. Its nodes are made once and
// written again, so that it follows the pointer at every frame.

import type { Stroke } from "../palette";
import { formatNumber } from "../parts/format";
import { formatX } from "./axis";
import type { Drawn, Model } from "./model";
import { textAt } from "./names";

const MOST = 12;
const NEAR_PX = 24;

interface Entry {
  drawn: Drawn;
  value: number;
  text: string;
}

export class Tooltip {
  private readonly box = document.createElement("div");
  private readonly title = document.createElement("div");
  private readonly rows: HTMLElement[] = [];
  private readonly more = document.createElement("div");

  constructor(private readonly root: HTMLElement) {
    this.box.setAttribute("aria-live", "polite");
    this.box.className = "tooltip";
    this.box.hidden = true;
    this.title.className = "at";
    this.box.append(this.title);
    for (let i = 0; i < MOST; i += 1) {
      const row = document.createElement("div");
      row.append(document.createElement("i"), document.createElement("span"), document.createElement("b"));
      this.rows.push(row);
      this.box.append(row);
    }
    this.box.append(this.more);
    // Above everything else on the page, and within a dialog, which is above the page.
    (root.closest("dialog") ?? document.body).append(this.box);
  }

  hide(): void {
    this.box.hidden = true;
  }

  /**
   * Show what the lines are at an element of the grid, and return the line that is nearest to the
   * pointer; null where none is near.
   *
   * @param around the elements that are as good as it, for lines that have no point at it.
   * @param place gives the px from the top where a value is drawn.
   */
  show(
    model: Model,
    index: number,
    around: readonly [number, number],
    pointer: { left: number; top: number },
    place: (value: number) => number,
  ): Drawn | null {
    const entries = model.lines.flatMap((drawn) => {
      const found = nearestPoint(drawn, index, around);
      return found === null ? [] : [entryOf(drawn, found, model, found === index)];
    });
    const distances = new Map(
      entries.map((entry) => {
        const { value } = entry;
        return [entry, Number.isNaN(value) ? Infinity : Math.abs(place(value) - pointer.top)];
      }),
    );
    const distance = (entry: Entry) => distances.get(entry) ?? Infinity;
    entries.sort((a, b) => distance(a) - distance(b));
    const [nearest] = entries;
    const near = nearest && distance(nearest) < NEAR_PX ? nearest : undefined;
    this.write(model, index, entries, near);
    this.move(pointer);
    return near?.drawn ?? null;
  }

  remove(): void {
    this.box.remove();
  }

  private write(
    model: Model,
    index: number,
    entries: readonly Entry[],
    near: Entry | undefined,
  ): void {
    const { x } = model.style;
    const shown = entries.slice(0, MOST).sort((a, b) => b.value - a.value);
    const [from, to] = [model.left[index] as number, model.right[index] as number];
    const last = x === "step" ? to - 1 : to;
    const whole = from >= last || x === "time" || x === "relative";
    this.title.textContent = whole ? formatX(from, x) : `${formatX(from, x)} – ${formatX(last, x).replace("step ", "")}`;
    this.rows.forEach((row, position) => {
      const entry = shown[position];
      row.hidden = !entry;
      if (!entry) return;
      row.className = entry === near ? "near" : "";
      const [swatch, name, value] = row.children as unknown as HTMLElement[];
      if (swatch) swatch.style.background = swatchOf(entry.drawn.stroke);
      if (name) name.textContent = entry.drawn.name;
      if (value) value.textContent = entry.text;
    });
    const rest = entries.length - shown.length;
    this.more.hidden = rest <= 0;
    this.more.textContent = `and ${rest} more`;
    this.box.hidden = !entries.length;
  }

  private move({ left, top }: { left: number; top: number }): void {
    const { box } = this;
    const inside = this.root.querySelector(".inside")?.getBoundingClientRect();
    if (!inside) return;
    const x = inside.left + left;
    const fits = x + 16 + box.offsetWidth < innerWidth;
    const y = Math.min(inside.top + top + 12, innerHeight - box.offsetHeight - 4);
    box.style.transform = `translate(${fits ? x + 16 : x - box.offsetWidth - 16}px, ${y}px)`;
  }
}

/** Return a background that looks like a line. */
function swatchOf({ colour, dash }: Stroke): string {
  const [drawn = 0, gap = 0] = dash;
  if (!gap) return colour;
  const stops = `${colour} 0 ${drawn}px, transparent ${drawn}px ${drawn + gap}px`;
  return `repeating-linear-gradient(90deg, ${stops})`;
}

/** Return the element nearest to one at which a line has something; null for none around it. */
function nearestPoint(drawn: Drawn, index: number, [from, to]: readonly [number, number]): number | null {
  const has = (i: number) => i >= from && i <= to && ((drawn.count[i] ?? 0) > 0 || (drawn.n?.[i] ?? 0) > 0);
  for (let by = 0; by <= to - from; by += 1) {
    if (has(index - by)) return index - by;
    if (has(index + by)) return index + by;
  }
  return null;
}

function entryOf(drawn: Drawn, index: number, model: Model, isHere: boolean): Entry {
  const texts = [textAt(drawn, index)];
  if (!isHere) texts.push(`at ${formatX(model.at[index] as number, model.style.x)}`);
  const smooth = drawn.smooth[index] as number;
  if (drawn.smooth !== drawn.y && !Number.isNaN(smooth)) texts.unshift(`~${formatNumber(smooth)}`);
  return { drawn, value: drawn.y[index] as number, text: texts.join(" ") };
}

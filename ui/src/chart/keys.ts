// What the keyboard does in the chart that has the focus.

import type { Shortcut } from "../keyboard";
import { getView, setView } from "../view";
import type { Plot } from "./plot";

/** What the keys of a chart need to know of it. */
export interface Keyed {
  plot: Plot | null;
  showTable(): void;
}

const charts = new WeakMap<Element, Keyed>();

/** Let the keys act on a chart, by its element. */
export const setKeyed = (element: Element, chart: Keyed): void => void charts.set(element, chart);

export const zoomOut = (): void => setView({ xMin: NaN, xMax: NaN });

const FOCUS = ".chart:focus";
/** A dialog is what Escape closes first. */
const FOCUS_ON_PAGE = ".chart:focus:not(dialog *)";

function key(key: string, does: string, act: (chart: Keyed) => void, within = FOCUS): Shortcut {
  return {
    key,
    does: `In a chart: ${does}`,
    within,
    act(event) {
      const chart = event.target instanceof Element && charts.get(event.target);
      if (chart) act(chart);
    },
  };
}

/** Move the crosshair, in larger steps with the shift key. */
function arrow(name: string, does: string, by: number): Shortcut {
  const shortcut = key(name, does, ({ plot }) => plot?.step(by));
  return {
    ...shortcut,
    act: (event) => (event.shiftKey ? key(name, does, ({ plot }) => plot?.step(10 * by)) : shortcut).act(event),
  };
}

/** The same for all charts, so that the overlay tells them once. */
export const CHART_KEYS: readonly Shortcut[] = [
  arrow("ArrowLeft", "crosshair to the left; with Shift by ten", -1),
  arrow("ArrowRight", "crosshair to the right; with Shift by ten", 1),
  key("Home", "crosshair to the first", ({ plot }) => plot?.step(-Infinity)),
  key("End", "crosshair to the last", ({ plot }) => plot?.step(Infinity)),
  key("+", "zoom in", ({ plot }) => plot?.zoomTo(0.25, 0.75)),
  key("-", "zoom out a little", ({ plot }) => plot?.zoomTo(-0.5, 1.5)),
  key("[", "move the window to the left", ({ plot }) => plot?.zoomTo(-0.25, 0.75)),
  key("]", "move the window to the right", ({ plot }) => plot?.zoomTo(0.25, 1.25)),
  key("0", "show everything", zoomOut),
  key("Escape", "show everything, or leave", leave, FOCUS_ON_PAGE),
  key("t", "show its values as a table", (chart) => chart.showTable()),
  {
    ...key("e", "save it", () => undefined),
    act: ({ target }) => target instanceof Element && target.querySelector<HTMLElement>(".menu > .button")?.click(),
  },
];

function leave({ plot }: Keyed): void {
  const { xMin, xMax } = getView();
  if (Number.isNaN(xMin) && Number.isNaN(xMax)) (document.activeElement as HTMLElement | null)?.blur();
  else zoomOut();
  plot?.leave();
}

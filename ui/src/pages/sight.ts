// What part of something tall is in sight, in whatever scrolls around it.

import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

/** Beyond each edge in px, so that a little scrolling shows no gap; and how exactly it is known. */
const BEYOND = 320;
const STEP = 80;

export interface Sight {
  /** Of the element itself, in px; 0 until it is known. */
  width: number;
  /** Heights from the top of the element, in px. */
  from: number;
  to: number;
}

export function useSight(box: RefObject<HTMLElement | null>): Sight {
  const [sight, setSight] = useState<Sight>({ width: 0, from: 0, to: 0 });
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    const scroller = scrollerOf(element);
    const measure = () => {
      const [own, window] = [element.getBoundingClientRect(), scroller.getBoundingClientRect()];
      const width = element.clientWidth;
      const from = Math.floor((window.top - own.top - BEYOND) / STEP) * STEP;
      const to = Math.ceil((window.bottom - own.top + BEYOND) / STEP) * STEP;
      setSight((old) =>
        old.width === width && old.from === from && old.to === to ? old : { width, from, to },
      );
    };
    measure();
    scroller.addEventListener("scroll", measure, { passive: true });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    observer.observe(scroller);
    return () => {
      scroller.removeEventListener("scroll", measure);
      observer.disconnect();
    };
  }, []);
  return sight;
}

function scrollerOf(element: HTMLElement): Element {
  for (let each = element.parentElement; each; each = each.parentElement)
    if (/auto|scroll/.test(getComputedStyle(each).overflowY)) return each;
  return document.documentElement;
}

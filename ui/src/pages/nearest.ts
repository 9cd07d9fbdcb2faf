// Which of the points on screen somebody points at.

/** A point this near in px is meant. */
const NEAR = 28;

/** Return the point that is nearest to a place, and near enough to be meant. */
export function nearest<T extends { x: number; y: number }>(
  points: readonly T[],
  x: number,
  y: number,
): T | null {
  let best = NEAR ** 2;
  let found: T | null = null;
  for (const point of points) {
    const distance = (point.x - x) ** 2 + (point.y - y) ** 2;
    if (distance < best) [best, found] = [distance, point];
  }
  return found;
}

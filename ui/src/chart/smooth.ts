// Smoothing, by the distance in x and not by the number of points, so that it means the same at
// every zoom and where points are unevenly spaced. Pure.

/** Return the scale of smoothing in units of x: from nothing to a quarter of the span. */
export function reach(strength: number, span: number): number {
  return span > 0 ? (span / 4) * Math.min(Math.max(strength, 0), 1) ** 3 : 0;
}

/**
 * Return the exponential moving average of a line: each value counts by exp(-distance / scale),
 * and only values before it count. NaN stays where it is, and counts for nothing.
 *
 * @param x ascending.
 */
export function ema(x: Float64Array, y: Float64Array, scale: number): Float64Array {
  if (!(scale > 0)) return y;
  const smooth = new Float64Array(y.length).fill(NaN);
  let sum = 0;
  let weight = 0;
  let before = NaN;
  for (let i = 0; i < y.length; i += 1) {
    const value = y[i] as number;
    if (Number.isNaN(value)) continue;
    const here = x[i] as number;
    const decay = Number.isNaN(before) ? 0 : Math.exp(-(here - before) / scale);
    sum = sum * decay + value;
    weight = weight * decay + 1;
    smooth[i] = sum / weight;
    before = here;
  }
  return smooth;
}

/** Return a line smoothed by a gaussian of this standard deviation, within three of them. */
export function gaussian(x: Float64Array, y: Float64Array, scale: number): Float64Array {
  if (!(scale > 0)) return y;
  const smooth = new Float64Array(y.length).fill(NaN);
  let start = 0;
  for (let i = 0; i < y.length; i += 1) {
    if (Number.isNaN(y[i])) continue;
    const here = x[i] as number;
    while ((x[start] as number) < here - 3 * scale) start += 1;
    let sum = 0;
    let weight = 0;
    for (let j = start; j < y.length && (x[j] as number) <= here + 3 * scale; j += 1) {
      const value = y[j] as number;
      if (Number.isNaN(value)) continue;
      const share = Math.exp(-0.5 * (((x[j] as number) - here) / scale) ** 2);
      sum += share * value;
      weight += share;
    }
    smooth[i] = sum / weight;
  }
  return smooth;
}

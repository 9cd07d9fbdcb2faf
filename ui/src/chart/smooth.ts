// Smoothing, by the distance in x and not by the number of points, so that it means the same where
// points are dense and where they are rare. Pure.

/** Return the scale of smoothing in units of x: from nothing to a quarter of the span. */
export function reach(strength: number, span: number): number {
  return span > 0 ? (span / 4) * Math.min(Math.max(strength, 0), 1) ** 3 : 0;
}

/**
 * Return the exponential moving average of a line: each value counts by exp(-distance / scale) for
 * the stretch of x that ends with it, and only what came before counts. So two points that say the
 * same close together weigh no more than one. NaN stays where it is, and counts for nothing.
 *
 * @param x ascending.
 */
export function ema(x: Float64Array, y: Float64Array, scale: number): Float64Array {
  if (!(scale > 0)) return y;
  const smooth = new Float64Array(y.length).fill(NaN);
  const known = [...y.keys()].filter((i) => !Number.isNaN(y[i]));
  // What came before the first point is not known: it counts for as long as the next one does.
  const [first = 0, second = first] = known;
  let before = 2 * (x[first] as number) - (x[second] as number);
  let sum = 0;
  let weight = 0;
  for (const i of known) {
    const [here, value] = [x[i] as number, y[i] as number];
    const share = -Math.expm1((before - here) / scale);
    sum += share * (value - sum);
    weight += share * (1 - weight);
    smooth[i] = weight > 0 ? sum / weight : value;
    before = here;
  }
  return smooth;
}

const REACH = 3;
const FINE = 128;
/** The gaussian from its middle to three standard deviations: exp for each pair would take long. */
const BELL = Float64Array.from({ length: REACH * FINE + 2 }, (_, i) => Math.exp(-0.5 * (i / FINE) ** 2));

/**
 * Return a line smoothed by a gaussian of this standard deviation, within three of them. Each value
 * counts for the stretch of x that it stands for, of at most one standard deviation on each side.
 */
export function gaussian(x: Float64Array, y: Float64Array, scale: number): Float64Array {
  if (!(scale > 0)) return y;
  const smooth = new Float64Array(y.length).fill(NaN);
  const known = [...y.keys()].filter((i) => !Number.isNaN(y[i]));
  const at = Float64Array.from(known, (i) => (x[i] as number) / scale);
  const values = Float64Array.from(known, (i) => y[i] as number);
  const gap = (k: number) => Math.min((at[k + 1] as number) - (at[k] as number), 1) || 0;
  const stretches = at.map((_, k) => gap(k - 1) + gap(k) || 1);
  let start = 0;
  known.forEach((i, k) => {
    const here = at[k] as number;
    while ((at[start] as number) < here - REACH) start += 1;
    let sum = 0;
    let weight = 0;
    for (let j = start; j < at.length && (at[j] as number) <= here + REACH; j += 1) {
      const distance = Math.round(Math.abs((at[j] as number) - here) * FINE);
      const share = (BELL[distance] as number) * (stretches[j] as number);
      sum += share * (values[j] as number);
      weight += share;
    }
    smooth[i] = sum / weight;
  });
  return smooth;
}

// What charts draw: no extreme is left out, odd values are seen, lines are not bridged.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { buildModel, type Model, type Style } from "../src/chart/model";
import { marksOf, shapesOf, type Path } from "../src/chart/shapes";
import { ema, gaussian } from "../src/chart/smooth";
import type { ChartData, Line } from "../src/data/wire";

const STYLE: Style = {
  x: "step", logX: false, y: "linear", smoothing: "none", strength: 0.6, clip: false, xMin: NaN, xMax: NaN,
};

/** Bucket points as the server does: width 1 is one bucket for each whole number. */
function charted(points: readonly (readonly [number, number])[], width: number, grouped: boolean): ChartData {
  const first = Math.min(...points.map(([x]) => Math.floor(x / width)));
  const last = Math.max(...points.map(([x]) => Math.floor(x / width)));
  const size = last - first + 1;
  const names = ["count", "nan", "pos_inf", "neg_inf", "min", "max", "mean", "n", "center", "low", "high"] as const;
  const columns = Object.fromEntries(
    names.map((name) => [name, new Float64Array(size).fill(["count", "nan", "pos_inf", "neg_inf", "n"].includes(name) ? 0 : NaN)]),
  ) as Record<(typeof names)[number], Float64Array>;
  for (let i = 0; i < size; i += 1) {
    const inside = points.filter(([x]) => Math.floor(x / width) === first + i).map(([, y]) => y);
    const finite = inside.filter(Number.isFinite);
    columns.count[i] = inside.length;
    columns.nan[i] = inside.filter(Number.isNaN).length;
    columns.pos_inf[i] = inside.filter((y) => y === Infinity).length;
    columns.neg_inf[i] = inside.filter((y) => y === -Infinity).length;
    if (!finite.length) continue;
    columns.min[i] = Math.min(...finite);
    columns.max[i] = Math.max(...finite);
    columns.mean[i] = columns.center[i] = finite.reduce((a, b) => a + b / finite.length, 0);
    columns.n[i] = 1;
  }
  const line: Line = {
    id: "a", key: "loss", runId: grouped ? null : "a", runIds: ["a"], group: grouped ? {} : null,
    modelId: "", datasetName: "", datasetDigest: "", attempt: 0, columns,
  };
  const x = Float64Array.from({ length: size }, (_, i) => (first + i) * width);
  return { exact: width === 1, width: width === 1 ? 0 : width, x, lines: [line], cursor: "" };
}

function modelOf(data: ChartData, style: Partial<Style> = {}): Model {
  return buildModel(data, { ...STYLE, ...style }, () => ({ name: "a", stroke: { colour: "red", dash: [] } }));
}

/** Return how far up and down closed areas, lines and dots reach at an x; lines within 1e-9 of it. */
function extentAt(x: number, areas: readonly Path[], lines: readonly Path[]): [number, number] {
  let [low, high] = [Infinity, -Infinity];
  const take = (y: number) => {
    low = Math.min(low, y);
    high = Math.max(high, y);
  };
  for (const [closed, paths] of [[true, areas], [false, lines]] as const)
    for (const path of paths) {
      const corners = path.length / 2;
      for (let i = 0; i < (closed ? corners : Math.max(corners - 1, 1)); i += 1) {
        const j = (i + 1) % corners;
        const [x0, y0, x1, y1] = [path[2 * i], path[2 * i + 1], path[2 * j], path[2 * j + 1]] as [number, number, number, number];
        if (x0 === x) take(y0);
        if (x1 === x) take(y1);
        if (Math.min(x0, x1) <= x && x <= Math.max(x0, x1) && x0 !== x1) take(y0 + ((x - x0) / (x1 - x0)) * (y1 - y0));
      }
    }
  return [low, high];
}

const value = fc.oneof(fc.double({ min: -9, max: 9, noNaN: true }), fc.constantFrom(NaN, Infinity, -Infinity));
const points = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), value), { minLength: 1, maxLength: 60 });
const styles = fc.record({
  y: fc.constantFrom("linear" as const, "log" as const, "symlog" as const),
  smoothing: fc.constantFrom("none" as const, "ema" as const, "gaussian" as const),
  strength: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("a point higher than all others lies inside what is drawn at its x", () => {
  fc.assert(
    fc.property(points, fc.integer({ min: 0, max: 60 }), fc.constantFrom(1, 2, 8, 64), styles, fc.boolean(),
      (others, at, width, style, grouped) => {
        const height = 1000;
        const model = modelOf(charted([...others, [at, height]], width, grouped), style);
        const [drawn] = model.lines;
        assert(drawn);
        const { envelope, band, raw, line } = shapesOf(drawn, model);
        const [low, high] = extentAt(at, [...envelope, ...band], [...raw, ...line]);
        assert(low <= height && height <= high + 1e-9, `${low} … ${high}`);
        assert(model.yRange[1] >= height, "it is within the axis");
      }),
  );
});

test("every NaN and infinity has a mark at its x, and is counted", () => {
  fc.assert(
    fc.property(points, fc.constantFrom(1, 8), (some, width) => {
      const model = modelOf(charted(some, width, false));
      const [drawn] = model.lines;
      assert(drawn);
      const marks = marksOf(drawn, model);
      for (const [x, y] of some) {
        if (Number.isFinite(y)) continue;
        const kind = Number.isNaN(y) ? "nan" : y > 0 ? "+inf" : "-inf";
        const half = width === 1 ? 0 : width / 2;
        assert(marks.some((mark) => mark.kind === kind && Math.abs(mark.x - half - Math.floor(x / width) * width) < 1e-9));
      }
      assert.equal(model.nan, some.filter(([, y]) => Number.isNaN(y)).length);
      assert.equal(model.infinite, some.filter(([, y]) => y === Infinity || y === -Infinity).length);
      assert.equal(model.total, some.length);
    }),
  );
});

test("a line goes past steps without points, and is broken by NaN", () => {
  const drawnLine = (some: [number, number][]) => {
    const model = modelOf(charted(some, 1, false));
    return shapesOf(model.lines[0] as Model["lines"][number], model).line;
  };
  assert.deepEqual(drawnLine([[0, 1], [5, 2]]), [[0, 1, 5, 2]]);
  assert.deepEqual(drawnLine([[0, 1], [2, NaN], [5, 2]]), [[0, 1], [5, 2]]);
});

test("clipping leaves outliers out of the axis, says how many, and marks where they are", () => {
  const some = Array.from({ length: 100 }, (_, i): [number, number] => [i, i === 50 ? 1e6 : Math.sin(i)]);
  const clipped = modelOf(charted(some, 1, false), { clip: true });
  assert(clipped.yRange[1] < 10);
  assert.equal(clipped.clipped, 1);
  assert.deepEqual(marksOf(clipped.lines[0] as Model["lines"][number], clipped), [{ kind: "above", x: 50 }]);
  assert.equal(modelOf(charted(some, 1, false)).clipped, 0);
});

test("on a logarithmic axis what is not positive is counted and marked", () => {
  const model = modelOf(charted([[0, 1], [1, -1], [2, 0], [3, 100]], 1, false), { y: "log" });
  assert.equal(model.unplaced, 2);
  assert.equal(marksOf(model.lines[0] as Model["lines"][number], model).length, 2);
  assert(model.yRange[0] > 0);
});

test("smoothing keeps constants, NaN and the number of values, and lies between the extremes", () => {
  const xs = fc.uniqueArray(fc.integer({ min: 0, max: 1000 }), { minLength: 2, maxLength: 40 }).map((x) => Float64Array.from(x).sort());
  fc.assert(
    fc.property(xs, fc.infiniteStream(value), fc.double({ min: 0.1, max: 500, noNaN: true }), (x, stream, scale) => {
      const y = x.map(() => { const next = stream.next().value as number; return Number.isFinite(next) ? next : NaN; });
      const known = [...y].filter((each) => !Number.isNaN(each));
      for (const smooth of [ema(x, y, scale), gaussian(x, y, scale)]) {
        assert.equal(smooth.length, y.length);
        smooth.forEach((each, i) => {
          assert.equal(Number.isNaN(each), Number.isNaN(y[i]));
          if (!Number.isNaN(each)) assert(each >= Math.min(...known) - 1e-9 && each <= Math.max(...known) + 1e-9);
        });
      }
      const constant = x.map(() => 3);
      assert(ema(x, constant, scale).every((each) => Math.abs(each - 3) < 1e-9));
    }),
  );
});

test("smoothing goes by the distance in x: points in between change nothing far from them", () => {
  const x = Float64Array.of(0, 10, 20);
  const half = Float64Array.of(0, 5, 10, 15, 20);
  const [coarse] = [ema(x, Float64Array.of(0, 0, 1), 1e-3)];
  const fine = ema(half, Float64Array.of(0, 0, 0, 0.5, 1), 1e-3);
  assert(Math.abs((coarse[2] as number) - (fine[4] as number)) < 1e-9);
});

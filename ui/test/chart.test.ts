// What charts draw: no extreme is left out, odd values are seen, lines are not bridged.

import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { buildModel, type Model, type Style } from "../src/chart/model";
import { drawLines, type Pen } from "../src/chart/pen";
import { scaleOfX, scaleOfY } from "../src/chart/scale";
import { finer, joined } from "../src/chart/parts";
import { marksOf, shapesOf, type Mark, type Path } from "../src/chart/shapes";
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
    modelId: "", datasetName: "", datasetDigest: "", attempt: 0, rank: -1, columns,
  };
  if (!grouped && columns.count.every((count) => count <= 1)) {
    // As the server does: they would say what the mean says.
    delete (columns as Partial<typeof columns>).min;
    delete (columns as Partial<typeof columns>).max;
  }
  const x = Float64Array.from({ length: size }, (_, i) => (first + i) * width);
  return { exact: width === 1, width: width === 1 ? 0 : width, x, lines: [line], cursor: "" };
}

function modelOf(data: ChartData, style: Partial<Style> = {}): Model {
  return buildModel(data, { ...STYLE, ...style }, () => ({ name: "a", stroke: { colour: "red", dash: [] } }));
}

/** A pen that remembers what it drew. */
class Paper implements Pen {
  readonly areas: Path[] = [];
  readonly lines: Path[] = [];
  readonly marks: (readonly [Mark["kind"], number])[] = [];
  area = (path: Path) => void this.areas.push(path);
  stroke = (path: Path) => void this.lines.push(path);
  dot = (x: number, y: number) => void this.lines.push([x, y, x, y]);
  mark = (kind: Mark["kind"], x: number) => void this.marks.push([kind, x]);

  /** Return how far up and down the drawing reaches at an x. */
  extentAt(x: number): [number, number] {
    let [low, high] = [Infinity, -Infinity];
    const take = (y: number) => {
      low = Math.min(low, y);
      high = Math.max(high, y);
    };
    for (const [closed, paths] of [[true, this.areas], [false, this.lines]] as const)
      for (const path of paths) {
        const corners = path.length / 2;
        for (let i = 0; i < (closed ? corners : corners - 1); i += 1) {
          const j = (i + 1) % corners;
          const [x0, y0, x1, y1] = [path[2 * i], path[2 * i + 1], path[2 * j], path[2 * j + 1]] as [number, number, number, number];
          if (Math.abs(x0 - x) < NEAR) take(y0);
          if (Math.abs(x1 - x) < NEAR) take(y1);
          if (Math.min(x0, x1) <= x && x <= Math.max(x0, x1) && x0 !== x1) take(y0 + ((x - x0) / (x1 - x0)) * (y1 - y0));
        }
      }
    return [low, high];
  }
}

/** In px: what rounding may take away. */
const NEAR = 1e-6;

/** Draw a chart on paper, 600 by 200 px, and return where a point would be on it. */
function drawn(model: Model, paper: Paper): (x: number, y: number) => [number, number] {
  const across = scaleOfX(model.style.x, model.style.logX, model.xRange);
  const upward = scaleOfY(model.style.y, model.yRange);
  const placing = { x: (x: number) => 600 * across.place(x), y: (y: number) => 200 * (1 - upward.place(y)) };
  drawLines(model, placing, paper);
  for (const path of [...paper.areas, ...paper.lines]) assert(path.every(Number.isFinite), `${path}`);
  return (x, y) => [placing.x(x), placing.y(y)];
}

const value = fc.oneof(fc.double({ min: -9, max: 9, noNaN: true }), fc.constantFrom(NaN, Infinity, -Infinity));
const points = fc.array(fc.tuple(fc.integer({ min: 0, max: 60 }), value), { minLength: 1, maxLength: 60 });
const styles = fc.record({
  y: fc.constantFrom("linear" as const, "log" as const, "symlog" as const),
  logX: fc.boolean(),
  smoothing: fc.constantFrom("none" as const, "ema" as const, "gaussian" as const),
  strength: fc.double({ min: 0, max: 1, noNaN: true }),
});

test("a point beyond all others lies inside what is drawn at its x, at every zoom and however it is drawn", () => {
  const window = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0.5, max: 20, noNaN: true }));
  fc.assert(
    fc.property(points, fc.integer({ min: 0, max: 60 }), fc.constantFrom(1, 2, 8, 64), styles, fc.boolean(), fc.boolean(), window,
      (others, at, width, style, grouped, isLowest, [share, span]) => {
        const extreme = isLowest && style.y !== "log" ? -1000 : 1000;
        const around = { xMin: at - share * span, xMax: at + (1 - share) * span };
        const model = modelOf(charted([...others, [at, extreme]], width, grouped), { ...style, ...around });
        const paper = new Paper();
        const [x, y] = drawn(model, paper)(at, extreme);
        const [top, bottom] = paper.extentAt(x);
        assert(top <= y + NEAR && y <= bottom + NEAR, `${y} is not between ${top} and ${bottom}`);
        assert(y >= 0 && y <= 200, "it is within the axis");
      }),
    { numRuns: 500 },
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

test("a moving average weighs by x: a point amid a stretch that says the same changes nothing after it", () => {
  const some = fc.array(fc.tuple(fc.integer({ min: 1, max: 100 }), fc.double({ min: -9, max: 9, noNaN: true })), { minLength: 3, maxLength: 30 });
  fc.assert(
    fc.property(some, fc.nat(), fc.double({ min: 0.01, max: 0.99 , noNaN: true }), fc.double({ min: 0.5, max: 500, noNaN: true }), (steps, which, share, scale) => {
      let end = 0;
      const x = steps.map(([step]) => (end += step));
      const y = steps.map(([, value]) => value);
      const at = 2 + (which % (x.length - 2)); // the first stretch has its length from the second point
      const between = (x[at - 1] as number) + share * (steps[at]?.[0] as number);
      const smooth = ema(Float64Array.from(x), Float64Array.from(y), scale);
      const finer = ema(Float64Array.from(x.toSpliced(at, 0, between)), Float64Array.from(y.toSpliced(at, 0, y[at] as number)), scale);
      for (let i = at; i < x.length; i += 1) assert(Math.abs((smooth[i] as number) - (finer[i + 1] as number)) < 1e-9);
    }),
  );
});

test("a gaussian is the mean of all values, each by its distance in x and the stretch it stands for", () => {
  const x = Float64Array.of(0, 1, 4, 9, 10, 30);
  const y = Float64Array.of(2, NaN, 1, 5, -3, 8);
  const stretches = [4, NaN, 9, 6, 6, 5]; // gaps on both sides of what is known, at most 5 each
  const smooth = gaussian(x, y, 5);
  x.forEach((here, i) => {
    if (Number.isNaN(y[i])) return;
    let [sum, weight] = [0, 0];
    x.forEach((there, j) => {
      if (Number.isNaN(y[j]) || Math.abs(there - here) > 15) return;
      const share = Math.exp(-0.5 * ((there - here) / 5) ** 2) * (stretches[j] as number);
      sum += share * (y[j] as number);
      weight += share;
    });
    assert(Math.abs((smooth[i] as number) - sum / weight) < 0.02);
  });
});

test("a symmetric logarithmic axis has as much room below zero as above the largest value", () => {
  const [low, high] = modelOf(charted([[0, 0], [1, 100]], 1, false), { y: "symlog" }).yRange;
  assert(low > -1 && low < 0 && high > 100 && high < 200, `${low} … ${high}`);
});

test("what is beyond the axis for long has few marks, but every odd value its own", () => {
  const some = Array.from({ length: 400 }, (_, i): [number, number] => [i, i < 200 ? -1 : i % 2 ? 1 : NaN]);
  const paper = new Paper();
  drawn(modelOf(charted(some, 1, false), { y: "log" }), paper);
  const kinds = paper.marks.map(([kind]) => kind);
  assert.equal(kinds.filter((kind) => kind === "nan").length, 100);
  assert(kinds.filter((kind) => kind === "unplaced").length < 40);
});

test("the beginning of a chart in finer data loses no point, and is cut between two buckets", () => {
  const many = fc.array(fc.tuple(fc.integer({ min: 0, max: 4095 }), value), { minLength: 1, maxLength: 200 });
  fc.assert(
    fc.property(many, fc.boolean(), fc.constantFrom("linear" as const, "log" as const), (some, grouped, y) => {
      const all: typeof some = [[0, 1], ...some, [4095, 2], [7, 1000]];
      const coarse = charted(all, 64, grouped);
      const query = finer({ run_ids: ["a"], keys: ["loss"], x: "step", buckets: 64 }, coarse);
      assert(query?.x_max !== undefined && query.x_max > 511 && query.x_max < 512);
      const fine = charted(all.filter(([x]) => x < 512), 4, grouped);
      const model = modelOf(joined(coarse, fine), { logX: true, y });
      assert.equal(model.total, all.length);
      for (let i = 1; i < model.left.length; i += 1) assert((model.right[i - 1] as number) <= (model.left[i] as number));
      const paper = new Paper();
      const [x, top] = drawn(model, paper)(7, 1000);
      assert(paper.extentAt(x)[0] <= top + NEAR);
    }),
  );
});

// Bundles every test/NAME.test.ts for node and runs them with its own runner.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { buildSync } from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));
const only = process.argv[2] ?? "";
const tests = readdirSync(here).filter((name) => name.endsWith(".test.ts") && name.includes(only));
const target = mkdtempSync(join(tmpdir(), "steplog-page-"));
try {
  buildSync({
    entryPoints: tests.map((name) => join(here, name)),
    outdir: target,
    outExtension: { ".js": ".mjs" },
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    jsx: "automatic",
    jsxImportSource: "preact",
    logLevel: "warning",
  });
  const files = tests.map((name) => join(target, name.replace(/\.ts$/, ".mjs")));
  const { status } = spawnSync(process.execPath, ["--test", ...files], { stdio: "inherit" });
  process.exitCode = status ?? 1;
} finally {
  rmSync(target, { recursive: true });
}

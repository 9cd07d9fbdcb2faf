// Builds the page: `node build.mjs [--watch] [DIRECTORY]`, by default into the package's _ui.
//
// Nothing of what it makes is kept in git. The names of the files have no hash in them; browsers ask
// each time whether theirs is still the one, which costs a round trip of a few hundred bytes.

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build, context } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const BUNDLED = ["preact"];

const watching = process.argv.includes("--watch");
const given = process.argv.slice(2).find((argument) => !argument.startsWith("--"));
const target = given ?? join(HERE, "..", "src", "steplog", "_ui");

const options = {
  absWorkingDir: HERE,
  entryPoints: [{ in: "src/main.tsx", out: "app" }],
  outdir: target,
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: !watching,
  sourcemap: watching ? "inline" : false,
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none", // all of them are in LICENSES.txt
  logLevel: "warning",
};

async function licences() {
  const texts = BUNDLED.map(async (name) => {
    const text = await readFile(join(HERE, "node_modules", name, "LICENSE"), "utf8");
    return `${name}\n\n${text.trim()}\n`;
  });
  return (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
}

await mkdir(target, { recursive: true });
for (const name of ["index.html", "icon.svg"]) await copyFile(join(HERE, name), join(target, name));
await writeFile(join(target, "LICENSES.txt"), await licences());
if (watching) await (await context(options)).watch();
else await build(options).catch(() => (process.exitCode = 1)); // what is wrong has been said

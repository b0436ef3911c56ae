// Makes a component of a folder with plugin.ts: node build.mjs <folder> <wit> <world> <build folder> <component>
//
// <wit> holds the plugin's world, and what it refers to under deps/.

import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { generateGuestTypes } from "@bytecodealliance/jco-transpile";
import { componentize } from "componentize-qjs";

const tools = dirname(fileURLToPath(import.meta.url));
const [folder, wit, world, build, component] = process.argv.slice(2).map((word, at) => (at === 2 ? word : resolve(word)));

const write = (path, content) => {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
};

// The interfaces as TypeScript has them.
const types = await generateGuestTypes(wit, { name: world, worldName: world, outDir: join(build, "types"), guest: true });
for (const [path, content] of Object.entries(types)) write(path, content);

// The plugin, checked against them, as JavaScript.
copyFileSync(join(folder, "plugin.ts"), join(build, "plugin.ts"));
const config = {
  extends: join(tools, "tsconfig.json"),
  compilerOptions: { outDir: "." },
  files: ["plugin.ts", `types/${world}.d.ts`],
};
write(join(build, "tsconfig.json"), JSON.stringify(config));
const tsc = spawnSync(process.execPath, [join(tools, "node_modules/typescript/bin/tsc"), "--project", build], { stdio: "inherit" });
if (tsc.status !== 0) process.exit(1);

// The JavaScript beside a QuickJS.
const made = await componentize({ witPath: wit, jsSource: readFileSync(join(build, "plugin.js"), "utf8"), world, stubWasi: true, sync: true });
write(component, made.component);

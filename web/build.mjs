// build.mjs — web/src -> web/dist: hashed files, gzip twins, index.html and manifest.json.
//   node build.mjs            the dashboard
//   node build.mjs --cpp DIR  and DIR/web_files.{s,cpp}, which the daemon compiles in
//   node build.mjs --dist DIR into another folder
// Fails when a size budget of budget.json is exceeded.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";

const root = dirname(fileURLToPath(import.meta.url));
function option(name) {
    const at = process.argv.indexOf(name);
    return at > 0 ? resolve(process.argv[at + 1]) : null;
}

const dist = option("--dist") ?? join(root, "dist");
const statics = join(dist, "static");

const common = {
    absWorkingDir: root,
    bundle: true,
    minify: true,
    target: "es2022",
    jsx: "automatic",
    jsxImportSource: "preact",
    legalComments: "none",
    logLevel: "warning",
};

function put(name, content) {
    const bytes = Buffer.from(content);
    writeFileSync(join(dist, name), bytes);
    const packed = gzipSync(bytes, { level: 9 });
    if (packed.length < bytes.length) writeFileSync(join(dist, `${name}.gz`), packed);
    return packed.length;
}

function hashed(name, content) {
    const digest = createHash("sha256").update(content).digest("hex").slice(0, 8).toUpperCase();
    const [, stem, extension] = /^(.*)\.(\w+)$/.exec(name);
    return `static/${stem}-${digest}.${extension}`;
}

async function tokens() {
    const out = await build({
        ...common,
        entryPoints: ["src/tokens.ts"],
        format: "esm",
        write: false,
    });
    const url = `data:text/javascript;base64,${Buffer.from(out.outputFiles[0].text).toString("base64")}`;
    return (await import(url)).tokenCss();
}

async function styles() {
    const source = (await tokens()) + readFileSync(join(root, "src/app.css"), "utf8");
    const out = await build({
        ...common,
        stdin: { contents: source, loader: "css", resolveDir: join(root, "src") },
        write: false,
    });
    return out.outputFiles[0].text;
}

const icon =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1d4ed8"/>' +
    '<path d="M7 11c4 0 4 3 9 3s5-3 9-3M7 18c4 0 4 3 9 3s5-3 9-3" fill="none" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>';

function page({ app, css, theme, favicon }) {
    return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sluice</title>
<link rel="icon" href="/${favicon}" type="image/svg+xml">
<script src="/${theme}"></script>
<link rel="stylesheet" href="/${css}">
<script type="module" src="/${app}"></script>
</head>
<body><div id="app"></div><noscript><p>The dashboard needs JavaScript. <a href="/status">The status page</a> does not.</p></noscript></body>
</html>
`;
}

/** The entry and what it imports statically: what a first visit loads. */
function landing(metafile, entry) {
    const seen = new Set();
    const walk = (name) => {
        if (seen.has(name)) return;
        seen.add(name);
        for (const { path, kind } of metafile.outputs[name].imports) {
            if (kind === "import-statement") walk(path);
        }
    };
    walk(entry);
    return seen;
}

export async function buildWeb() {
    rmSync(dist, { recursive: true, force: true });
    mkdirSync(statics, { recursive: true });
    const result = await build({
        ...common,
        entryPoints: { app: "src/main.tsx" },
        format: "esm",
        splitting: true,
        outdir: statics,
        entryNames: "[name]-[hash]",
        chunkNames: "[name]-[hash]",
        metafile: true,
        write: false,
    });
    const sizes = {};
    for (const file of result.outputFiles) {
        sizes[relative(root, file.path)] = put(relative(dist, file.path), file.contents);
    }
    const entry = Object.keys(result.metafile.outputs).find(
        (name) => result.metafile.outputs[name].entryPoint === "src/main.tsx",
    );
    const css = await styles();
    const theme = readFileSync(join(root, "src/theme.js"), "utf8");
    const names = {
        app: relative(dist, join(root, entry)),
        css: hashed("app.css", css),
        theme: hashed("theme.js", theme),
        favicon: hashed("icon.svg", icon),
    };
    const css_gz = put(names.css, css);
    const theme_gz = put(names.theme, theme);
    put(names.favicon, icon);
    put("index.html", page(names));
    const sum = (keys) => [...keys].reduce((total, key) => total + (sizes[key] ?? 0), theme_gz);
    const measured = {
        landing_js_gz: sum(landing(result.metafile, entry)),
        all_js_gz: sum(Object.keys(sizes)),
        css_gz,
    };
    writeFileSync(
        join(dist, "manifest.json"),
        `${JSON.stringify({ ...names, measured }, null, 1)}\n`,
    );
    const budget = JSON.parse(readFileSync(join(root, "budget.json"), "utf8"));
    for (const [name, limit] of Object.entries(budget)) {
        if (measured[name] > limit) {
            throw new Error(`size budget: ${name} is ${measured[name]} bytes, allowed ${limit}`);
        }
    }
    return measured;
}

function filesUnder(dir) {
    return readdirSync(dir).flatMap((name) => {
        const path = join(dir, name);
        return statSync(path).isDirectory() ? filesUnder(path) : [path];
    });
}

/** The files as an assembly file and the table of daemon/api/web_files.hpp. */
function writeCpp(out) {
    mkdirSync(out, { recursive: true });
    let assembly = ".section .rodata\n";
    let externs = "";
    let rows = "";
    const files = filesUnder(dist).filter((path) => !path.endsWith("manifest.json"));
    files.sort().forEach((path, i) => {
        const symbol = `sluice_web_${i}`;
        const copy = join(out, `web_${i}.bin`);
        writeFileSync(copy, readFileSync(path));
        assembly +=
            `.global ${symbol}\n.global ${symbol}_end\n${symbol}:\n` +
            `.incbin "${copy}"\n${symbol}_end:\n.byte 0\n`;
        externs += `extern const char ${symbol};\nextern const char ${symbol}_end;\n`;
        const size = `static_cast<std::size_t>(&${symbol}_end - &${symbol})`;
        rows += `        {"${relative(dist, path)}", {&${symbol}, ${size}}},\n`;
    });
    assembly += '.section .note.GNU-stack,"",@progbits\n';
    writeFileSync(join(out, "web_files.s"), assembly);
    writeFileSync(
        join(out, "web_files.cpp"),
        `#include "api/web_files.hpp"\n\n#include <vector>\n\nextern "C" {\n${externs}}\n\n` +
            "namespace sluice::web {\n\nstd::span<const EmbeddedFile> files() {\n" +
            `    static const std::vector<EmbeddedFile> table{\n${rows}    };\n    return table;\n}\n\n` +
            "}  // namespace sluice::web\n",
    );
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
    const measured = await buildWeb();
    const cpp = option("--cpp");
    if (cpp) writeCpp(cpp);
    console.log(
        `web: landing ${measured.landing_js_gz} B, all ${measured.all_js_gz} B, css ${measured.css_gz} B (gzip)`,
    );
}

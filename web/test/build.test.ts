import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";

const web = process.env.SLUICE_WEB!;
const dist = join(web, "dist");
const manifest = JSON.parse(readFileSync(join(dist, "manifest.json"), "utf8")) as Record<string, string> & { measured: Record<string, number> };

test("a first visit loads at most 45 kB of script, compressed", () => {
    assert.ok(manifest.measured.landing_js_gz! <= 45 * 1024, String(manifest.measured.landing_js_gz));
    assert.ok(manifest.measured.all_js_gz! <= 150 * 1024);
    assert.ok(manifest.measured.css_gz! <= 20 * 1024);
    const entry = gzipSync(readFileSync(join(dist, manifest.app!)), { level: 9 }).length;
    assert.ok(entry <= manifest.measured.landing_js_gz!);
});

test("the page holds to the policy: nothing inline, nothing from elsewhere", () => {
    const page = readFileSync(join(dist, "index.html"), "utf8");
    assert.ok(!/<script(?![^>]*\ssrc=)/.test(page));
    assert.ok(!/<style|\son\w+=|style=/.test(page));
    assert.ok(!/https?:/.test(page));
    for (const name of ["app", "css", "theme", "favicon"]) {
        assert.ok(page.includes(manifest[name]!));
        assert.ok(existsSync(join(dist, manifest[name]!)));
    }
});

test("no source makes markup from text", () => {
    const walk = (dir: string): string[] =>
        readdirSync(dir, { withFileTypes: true }).flatMap((item) =>
            item.isDirectory() ? walk(join(dir, item.name)) : [join(dir, item.name)],
        );
    for (const file of walk(join(web, "src"))) {
        assert.ok(!/innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(/.test(readFileSync(file, "utf8")), file);
    }
});

test("the lock file names no host", () => {
    const lock = readFileSync(join(web, "package-lock.json"), "utf8");
    assert.ok(!/"resolved"/.test(lock));
});

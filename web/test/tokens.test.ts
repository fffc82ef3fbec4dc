import assert from "node:assert/strict";
import { test } from "node:test";
import { states, surfaces, tokenCss, worst } from "../src/tokens";

type Rgb = [number, number, number];

const linear = (hex: string): Rgb => {
    const parts = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
    return parts.map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)) as Rgb;
};
const times = (m: number[][], [r, g, b]: Rgb): Rgb =>
    m.map((row) => Math.min(1, Math.max(0, row[0]! * r + row[1]! * g + row[2]! * b))) as Rgb;
const luminance = (hex: string) => {
    const [r, g, b] = linear(hex);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a: string, b: string) => {
    const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p) as [number, number];
    return (x + 0.05) / (y + 0.05);
};
const oklab = ([r, g, b]: Rgb): Rgb => {
    const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
    const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
    const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
    return [
        0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
        1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
        0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
    ];
};

/** Machado, Oliveira, Fernandes 2009, severity 1.0. */
const visions: Record<string, number[][]> = {
    normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

const distinct = ["s", "r", "f", "y", "q", "u", "k", "d"];

for (const theme of ["light", "dark"] as const) {
    test(`${theme}: text and states stand out from the page and the cards`, () => {
        const surface = surfaces[theme];
        for (const ground of [surface.page, surface.card]) {
            for (const text of [surface.text, surface.muted, surface.link, surface.danger]) {
                assert.ok(contrast(text, ground) >= 4.5, `${text} on ${ground}: ${contrast(text, ground)}`);
            }
            for (const letter of distinct) {
                const colour = states[letter]![theme];
                assert.ok(contrast(colour, ground) >= 2.99, `${letter} on ${ground}: ${contrast(colour, ground)}`);
            }
        }
        assert.ok(contrast(surface.on, surface.link) >= 4.5);
    });

    for (const [vision, matrix] of Object.entries(visions)) {
        test(`${theme}: any two states differ for ${vision} vision`, () => {
            for (const a of distinct) {
                for (const b of distinct) {
                    if (a >= b) continue;
                    const [p, q] = [a, b].map((letter) => oklab(times(matrix, linear(states[letter]![theme]))));
                    const distance = Math.hypot(p![0] - q![0], p![1] - q![1], p![2] - q![2]);
                    assert.ok(distance >= 0.07, `${a} and ${b}: ${distance.toFixed(3)}`);
                }
            }
        });
    }
}

test("states of one colour differ by glyph or filling", () => {
    const looks = new Set<string>();
    for (const [letter, token] of Object.entries(states)) {
        const look = `${token.light} ${token.glyph} ${token.fill}`;
        assert.ok(!looks.has(look), letter);
        looks.add(look);
    }
});

test("the style sheet has every state in both themes", () => {
    for (const letter of Object.keys(states)) {
        assert.equal(tokenCss().split(`--st-${letter}:`).length, 3);
    }
});

test("a summary shows the worst state", () => {
    assert.equal(worst(["s", "r", "f", "q"]), "f");
    assert.equal(worst(["s", "k"]), "k");
    assert.equal(worst(["s", "s"]), "s");
    assert.equal(worst([]), ".");
    assert.equal(worst(["."]), ".");
});

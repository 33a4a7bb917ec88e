/** Names and texts from files are text in every form of a report: page, Markdown, model card. */
import assert from "node:assert/strict";
import { DATASETS } from "../pipeline/datasets/datasets.ts";
import { METHODS } from "../pipeline/methods/methods.ts";
import { modelCard } from "../pipeline/report/card.ts";
import { gatherContents } from "../pipeline/report/contents.ts";
import { markdown } from "../pipeline/report/markdown.ts";
import { page } from "../pipeline/report/page.tsx";
import { readRuns } from "../pipeline/report/runs.ts";
import { writeEvaluation, writeRun } from "./report_fixture.ts";
import { withFolder } from "./with_folder.ts";

/** What a name may be: no slash, no control character. */
const NAME = "<script>|`x`*y*[z](#a)&lt;~~";
/** What a text may be. */
const TEXT = `</td></script>\n\n# a\r\n| bee |\n\`\`\`\n${NAME}`;

/** A Markdown text has no markup of these names: what would be some stands behind a backslash. */
function assertPlain(text: string, what: string) {
  const rest = text.replaceAll(/\\[\\`*_[\]<>|&~]/g, "");
  assert.ok(!/<|&lt|`x|\*y|\[z|~~|```/.test(rest), `${what}: ${rest.match(/.*(<|&lt|`x|\*y|\[z|~~|```).*/)?.[0]}`);
  assert.ok(!/^# a|^\| bee \|/m.test(text), what);
  for (const table of rest.match(/(^\|.*\n)+/gm) ?? []) {
    const widths = table.trimEnd().split("\n").map((line) => line.split("|").length);
    assert.equal(new Set(widths).size, 1, `${what}: columns of\n${table}`);
  }
}

Deno.test("cases, patients, classes, run folders, notes and free texts hold no markup in page, Markdown and card", () =>
  withFolder(async (root) => {
    const run = `${root}/${NAME}`, path = `${run}/evaluation-running/metrics.json`;
    await writeRun(run, { dataset: "acdc", init: { file: TEXT, sha256: TEXT } });
    await writeEvaluation(run, {
      ...{ name: "running", dataset: "acdc", cases: [{ name: "a", shift: 1 }, { name: "b", shift: 2 }] },
      folder: `${root}/cases`,
    });
    const metrics = await Deno.readTextFile(path);
    const { checksum: _, ...hostile } = JSON.parse( // changed, as by hand
      metrics.replaceAll('"a"', JSON.stringify(NAME)).replaceAll('"a_', '"<script>|`x`_'),
    );
    hostile.split.source = hostile.precision = hostile.preparations[0] = TEXT;
    const of = hostile.classes[0];
    const renamed = JSON.stringify(hostile).replaceAll(JSON.stringify(of), JSON.stringify(`${of}${NAME}`));
    await Deno.writeTextFile(path, renamed);
    const { checksum: __, ...config } = JSON.parse(await Deno.readTextFile(`${run}/config.json`));
    config.split.source = config.commit = TEXT;
    config.method.settings = { [TEXT]: TEXT };
    config.versions = { [TEXT]: TEXT };
    await Deno.writeTextFile(`${run}/config.json`, JSON.stringify(config));

    const contents = await gatherContents([run], METHODS), html = page(contents);
    assert.equal(html.match(/<script/g)!.length, html.match(/<\/script>/g)!.length);
    assert.ok(!html.includes("<script>|") && !html.includes("</td></script>"));
    assert.ok(html.includes("&lt;script>|`x`"), "it is there, as text");
    assertPlain(markdown(contents), "report.md");
    const [told] = await readRuns([run], METHODS);
    const model = { file: `${NAME}.pth`, sha256: "0", parameters: 1, checkpoint: TEXT, iteration: 1, half: false };
    const how = { format: "pth", statistics: "running", components: "all", componentsChoice: null } as const;
    const card = modelCard(told, { model: { ...model, ...how }, dataset: DATASETS.acdc });
    assertPlain(card.replaceAll(/^ {4}.*\n/gm, "").replace("`state_dict`", ""), "card"); // lines of code are no markup
  }));

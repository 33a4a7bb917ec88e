/**
 * `deno task report RUN …`: run folders with their evaluations in; `report.md` and one `report.html` that needs no
 * network out.
 */
import { z } from "zod";
import { METHODS } from "../pipeline/methods/methods.ts";
import { gatherContents } from "../pipeline/report/contents.ts";
import { markdown } from "../pipeline/report/markdown.ts";
import { page } from "../pipeline/report/page.tsx";
import { writeTogether } from "../pipeline/files/atomic.ts";
import { parseOptions, pathOption, runTask } from "../pipeline/command/options.ts";

const options = parseOptions(
  z.strictObject({
    run: z.array(pathOption()).min(1).describe("run folders, as train wrote and evaluate filled them"),
    selectionGap: z.boolean().default(false).describe(
      "also tell on the test cases what the best checkpoint has over the last one, as the field reports it",
    ),
    out: pathOption().optional().describe("folder to write; the first run's without it"),
  }),
  {
    name: "report",
    description: "Results, learning curves and overlays of runs as Markdown and HTML",
    args: Deno.args,
  },
);

async function report() {
  const contents = await gatherContents(options.run, METHODS, { withTestGap: options.selectionGap }),
    folder = options.out ?? contents.runs[0].folder;
  await Deno.mkdir(folder, { recursive: true });
  for (const note of contents.notes) console.log(`note: ${note}`);
  const files = { "report.md": markdown(contents), "report.html": page(contents) };
  await writeTogether(Object.entries(files).map(([name, content]) => ({ path: `${folder}/${name}`, content })));
  console.log(`report: ${folder}/report.html`);
}

await runTask(report);

import { encodeNrrdMask, readNrrd } from "./pipeline/files/nrrd.ts";
const [raw, own, old] = Deno.args;
for (const { name } of Deno.readDirSync(raw)) {
  await Deno.copyFile(`${raw}/${name}/lgemri.nrrd`, `${own}/imagesTr/${name}_0000.nrrd`);
  const m = await readNrrd(`${raw}/${name}/laendo.nrrd`);
  await Deno.writeFile(
    `${own}/labelsTr/${name}.nrrd`,
    encodeNrrdMask(Uint8Array.from(m.data, (v) => Number(v > 0)), { ...m, axes: "XYZ" }),
  );
}
await Deno.writeTextFile(
  `${own}/dataset.json`,
  JSON.stringify({
    channel_names: { 0: "LGE" },
    labels: { background: 0, "left atrium": 1 },
    file_ending: ".nrrd",
    numTraining: 6,
  }),
);

/**
 * One step's gradients of both networks in bf16 beside fp32, parameter by parameter, against what PyTorch's autocast gives
 * for the same parameters, images and labels (`tests/golden/autocast_gradients.json`).
 */
import { fileURLToPath } from "node:url";
import { deepEqual, ok } from "node:assert/strict";
import { readArrays } from "../pipeline/files/hdf5.ts";
import { foregroundDice, oneHot, squaredDice } from "../pipeline/losses/dice.ts";
import { gradientsOf } from "../pipeline/methods/method.ts";
import { Pass } from "../pipeline/networks/layers.ts";
import { toWeights } from "../pipeline/networks/parameters.ts";
import { openTensorFlow } from "../pipeline/tensorflow/device.ts";
import { softmax } from "../pipeline/tensorflow/ops.ts";
import { bf16Fault, type Precision } from "../pipeline/tensorflow/precision.ts";
import { trace } from "../pipeline/tensorflow/trace.ts";
import { goldenState } from "../tasks/tools/parity/golden_numbers.ts";
import { type Cases, Golden, l2 } from "../tasks/tools/parity/golden.ts";
import { networkWithHeads } from "../pipeline/methods/ssnet.ts";
import type { Tensor } from "../pipeline/tensorflow/tensors.ts";

const tensorflow = openTensorFlow({ device: "cpu", threads: 2 });
const GOLDEN = new URL("golden/", import.meta.url);
const theirs: Record<"vnet" | "unet", Record<string, number>> =
  JSON.parse(await Deno.readTextFile(new URL("autocast_gradients.json", GOLDEN))).relative_error;
const cases: Record<string, Cases> = JSON.parse(await Deno.readTextFile(new URL("cases.json", GOLDEN)));

for (const [network, dice] of [["vnet", foregroundDice], ["unet", squaredDice]] as const) {
  Deno.test(`${network}: bf16 moves no gradient further than PyTorch's autocast does`, {
    ignore: bf16Fault(tensorflow) !== null,
  }, async () => {
    const file = `${network}_grad`, arrays = await readArrays(fileURLToPath(new URL(`${file}.h5`, GOLDEN)));
    const golden = new Golden(file, arrays, cases[file]),
      classes = golden.shape("grad_dice__decoder.out_conv.weight")[0];
    const { spec, forward: { forward } } = networkWithHeads(network, { channels: 1, classes });
    const { weights, buffers } = toWeights(spec, goldenState(spec, cases[file].weightSet));
    const x = golden.image("input"), label = golden.labels("label"), names = Object.keys(weights);
    const gradientsIn = async (precision: Precision) => {
      const found: string[] = [];
      const results = await trace((x: Tensor, label: Tensor) => {
        const pass = new Pass(weights, buffers, { training: true });
        const { gradients } = gradientsOf(
          () => dice(softmax(forward(pass, x).logits), oneHot(label, classes)),
          weights,
        );
        return gradients.flatMap((gradient, i) => gradient ? (found.push(names[i]), [gradient]) : []);
      }, precision)(x, label);
      return new Map(results.map((gradient, i) => [found[i], gradient.dataSync() as Float32Array]));
    };
    const full = await gradientsIn("fp32"), half = await gradientsIn("bf16");
    const errors = Object.keys(theirs[network]).map((name) => {
      const [g, h] = [full, half].map((gradients) => gradients.get(name)!);
      return { name, ours: l2(h.map((v, i) => v - g[i])) / l2(g), theirs: theirs[network][name] };
    });
    const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1];
    ok(median(errors.map(({ ours }) => ours)) <= 1.05 * median(errors.map(({ theirs }) => theirs)));
    // Each is one draw of rounding: of two equal ways neither is the better one at every parameter.
    deepEqual(errors.filter(({ ours, theirs }) => ours > 2 * theirs), []);
  });
}

// deno-lint-ignore-file no-explicit-any
/**
 * `deno task conformance`: tfjs-core's own op tests, run by TensorFlow through our binding.
 * Prints the specs that failed, those left out with the reason, how many operations TensorFlow ran, `N passed, N failed`.
 */
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import esbuild from "esbuild-wasm/lib/browser.js";
import jasmineRequire from "jasmine-core";
import { z } from "zod";
import * as tf from "@tensorflow/tfjs";
import { parseOptions, runTask } from "../../pipeline/command/options.ts";
import { isFile } from "../../pipeline/files/exists.ts";
import { openTensorFlow } from "../../pipeline/tensorflow/device.ts";

/**
 * Specs that are not run. All but the last reason stand in upstream's own list (`tfjs-node-gpu/dist/run_tests.js`),
 * which is longer: it also leaves out specs that pass here.
 */
const LEFT_OUT: [reason: string, specs: RegExp][] = [
  [
    "tfjs-node registers no kernel for it",
    /^(bitwiseAnd|denseBincount|image\.transform|lowerBound|upperBound|searchSorted|maxPoolWithArgmax|ragged(Gather|Range|TensorToTensor)|sparse(FillEmptyRows|Reshape|SegmentMean|SegmentSum)|stringNGrams|stringSplit|stringToHashBucketFast) /,
  ],
  [
    "tfjs-node pads by 'same' and 'valid' only",
    /^(avgPool|maxPool|maxPoolBackprop|pool|conv2dTranspose) .*p=(explicit|1 .*(floor|round|ceil|default))|^(avg|max)Pool3d .* p=[12]( |$)/,
  ],
  ["tfjs-node's fused convolution takes channels last only", /^fused conv2d .* NCHW/],
  ["TensorFlow refuses a window larger than its input", /^avgPool3d x=\[1,1,1,1,1\] f=\[1,1,3\] s=1 p=valid$/],
  ["the output shape does not belong to the input and stride 1", /^conv2dTranspose input=8x8x8,output=4x4x8/],
  ["TensorFlow's Diag has no bool", /^diag bool$/],
  ["the spec expects an error, TensorFlow has a result", /^einsum (2d matrix calculate trace|nonexistent dimension)/],
  ["TensorFlow has no order of strings", /^(greater|less)(Equal)? should support string comparison$/],
  ["TensorFlow's kernel has no int32", /^(leakyrelu int32|step kernel with int32 tensor)$/],
  [
    "TensorFlow reads indices of rank 1 as one point",
    /^scatterND should (work for (2d|simple 1d|multiple 1d|tensorLike)|sum the dupl)/,
  ],
  [
    "tfjs wants 0 as the sign of NaN, TensorFlow NaN",
    /^sign (basic|does not propagate NaNs|accepts a tensor-like object)$/,
  ],
  ["TensorFlow's generator goes on from call to call", /^multinomial creates the same data given the same seed$/],
  ["differs by one unit of float32's last place", /^tan numbers exceed float32 precision$/],
  ["TensorFlow counts every NaN as another value", /^unique 1d tensor with NaN and Infinity$/],
  ["TensorFlow 2.17 to 2.21 rounds whole numbers to 0 (tensorflow/tensorflow#74789)", /^round int32$/],
];

/**
 * Tests that on a CPU only oneDNN's kernels can do; by default TensorFlow takes them where the processor has AVX-512 or
 * AMX.
 */
const NEEDS_ONEDNN: typeof LEFT_OUT[number] = [
  "TensorFlow's own kernels for CPUs take channels last and no dilated depthwise filters; oneDNN's are off here",
  /^(separableConv2d|depthwiseConv2D) input=.*,d=[234],|^conv2d (gradient )?x=.* NCHW$|^depthwiseConv2d gradients throws error on dilations > 1$/,
];

/** What TensorFlow's kernels for GPUs cannot do: all but one of these specs failed on an H100 (TensorFlow 2.21). */
const NOT_ON_GPU: typeof LEFT_OUT = [
  ["TensorFlow's Bincount takes no weights on a GPU", /^bincount with 1d float weights/],
  [
    "TensorFlow's depthwise convolution leaves dilations out of account on a GPU",
    /^(separableConv2d|depthwiseConv2D) input=.*,d=[234],/,
  ],
  ["TensorFlow refuses dilations in words of its own", /^depthwiseConv2d gradients throws error on dilations > 1$/],
  ["differs in float32's last places on a GPU, beyond the 1e-3 of 22026 that the spec allows", /^exp int32$/],
];

const options = parseOptions(
  z.strictObject({ device: z.enum(["cpu", "gpu"]).default("cpu").describe("where to compute") }),
  { name: "conformance", description: "Run tfjs-core's op tests on TensorFlow", args: Deno.args },
);

const require = createRequire(import.meta.url);
/** Resolves what tfjs-core needs: it is no dependency of ours, but of tfjs. */
const coreRequire = createRequire(createRequire(require.resolve("@tensorflow/tfjs")).resolve("@tensorflow/tfjs-core"));
const dist = dirname(coreRequire.resolve("@tensorflow/tfjs-core"));

function specFiles(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) => {
    const path = join(folder, name);
    return isDirectory ? specFiles(path) : name.endsWith("_test.js") ? [path] : [];
  }).sort();
}

/** The specs as one script: they import without file extensions, which no runtime resolves. */
async function bundle(): Promise<string> {
  const lines = [
    'import "./public/chained_ops/register_all_chained_ops";',
    'import "./register_all_gradients";',
    'import { setTestEnvs } from "./jasmine_util";',
    'setTestEnvs([{ name: "tensorflow", backendName: "tensorflow", flags: {}, isDataSync: true }]);',
    // Imports would be hoisted above the line before, which every spec reads.
    ...specFiles(join(dist, "ops")).map((path) => `require(${JSON.stringify(path)});`),
  ];
  // The form of esbuild for browsers runs in this process: the others run a program.
  const wasmModule = new WebAssembly.Module(Deno.readFileSync(require.resolve("esbuild-wasm/esbuild.wasm")));
  await esbuild.initialize({ wasmModule, worker: false });
  const { outputFiles } = await esbuild.build({
    stdin: { contents: lines.join("\n"), resolveDir: dist },
    bundle: true,
    write: false,
    format: "cjs",
    platform: "node",
    ignoreAnnotations: true, // the package calls its files free of side effects: every spec would be dropped
    plugins: [{
      name: "tfjs-core",
      setup(build: any) {
        build.onResolve({ filter: /./ }, ({ path, resolveDir }: any) => {
          if (!/^[./]/.test(path)) return { path, external: true };
          const full = path.startsWith("/") ? path : join(resolveDir, path);
          return { path: [full, full + ".js", join(full, "index.js")].find(isFile), namespace: "file" };
        });
        build.onLoad({ filter: /./, namespace: "file" }, ({ path }: any) => ({
          contents: Deno.readTextFileSync(path),
          resolveDir: dirname(path),
        }));
      },
    }],
  });
  return outputFiles[0].text;
}

await runTask(async () => {
  // Before the specs: it registers the backend with the one engine that both copies of tfjs share.
  const { binding } = openTensorFlow({ device: options.device });
  const script = await bundle();

  const jasmine = jasmineRequire.boot(jasmineRequire), env = jasmine.getEnv();
  const hasChannelsFirst = () => {
    try {
      tf.dispose(tf.conv2d(tf.tensor3d([1, 1, 1, 1], [1, 2, 2]), tf.tensor4d([1], [1, 1, 1, 1]), 1, "same", "NCHW"));
      return true;
    } catch {
      return false;
    }
  };
  const rules = [
    ...LEFT_OUT,
    ...binding.isUsingGpuDevice() ? NOT_ON_GPU : hasChannelsFirst() ? [] : [NEEDS_ONEDNN],
  ];
  const leftOut = rules.map(([reason, pattern]) => ({ reason, pattern, specs: [] as string[] }));
  const nameOf = (spec: string) => spec.replace(/ +tensorflow \{\}/, "");
  env.configure({
    random: false,
    specFilter(spec: any) {
      const name = nameOf(spec.getFullName()), match = leftOut.find(({ pattern }) => pattern.test(name));
      match?.specs.push(name);
      return !match;
    },
  });
  let passed = 0, failed = 0;
  function fail(name: string, messages: string[]) {
    failed++;
    const lines = messages.flatMap((message) => message.split("\n"));
    console.log([`failed: ${name}`, ...lines.map((line) => `  ${line.slice(0, 300)}`)].join("\n"));
  }
  const finished = new Promise<void>((resolve) =>
    env.addReporter({
      specDone({ status, fullName, failedExpectations }: any) {
        if (status === "passed") passed++;
        if (status === "failed") fail(nameOf(fullName), failedExpectations.map((e: any) => e.message));
      },
      suiteDone({ fullName, failedExpectations }: any) {
        if (failedExpectations.length) fail(nameOf(fullName), failedExpectations.map((e: any) => e.message));
      },
      jasmineDone({ failedExpectations }: any) {
        if (failedExpectations.length) fail("loading", failedExpectations.map((e: any) => e.message));
        resolve();
      },
    })
  );
  const load = new Function("require", "module", "exports", script);
  load((id: string) => id.startsWith("jasmine-core") ? require(id) : coreRequire(id), { exports: {} }, {});
  env.execute();
  await finished;

  for (const { reason, pattern, specs } of leftOut) {
    console.log(`left out, ${reason}: ${specs.length}`);
    for (const name of specs) console.log(`  ${name}`);
    if (specs.length === 0) fail("the list of specs left out", [`no spec matches ${pattern}`]);
  }
  console.log(`TensorFlow ${binding.TF_Version} ran ${binding.operations} operations`);
  if (binding.operations === 0) fail("TensorFlow", ["it ran no operation: another backend was tested"]);
  console.log(`${passed} passed, ${failed} failed`);
  return failed ? 1 : 0;
});

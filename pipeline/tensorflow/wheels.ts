/**
 * What `deno task setup` fetches: the wheels of Python's package index that carry TensorFlow's library for this machine
 * and, for NVIDIA GPUs, the CUDA libraries that it opens; every one pinned by version and SHA-256.
 * @module
 */

/** The version that the wheels carry and the tests run with. */
export const VERSION = "2.21.0";

/** Where TensorFlow computes. */
export type Device = "cpu" | "gpu";

/** A wheel of Python's package index. */
export interface Wheel {
  /** The package as pip names it. */
  package: string;
  /** The version of the package. */
  version: string;
  /** The file as pip saves it. */
  file: string;
  /** The platform as pip wants it: `--platform`. */
  platform: string;
  /** SHA-256 of the file, as the index publishes it. */
  sha256: string;
  /** The size of what is fetched, a million bytes each. */
  megabytes: number;
  /** The files that are unpacked, by their names in the archive. A name that ends in `*` is the beginning of several. */
  members: string[];
}

/** The wheels that make one library. */
export interface Bundle {
  /** TensorFlow's first. */
  wheels: Wheel[];
  /** Whether this project's tests have run with it. */
  tested: boolean;
}

function tensorFlow(name: string, platform: string, pin: { sha256: string; megabytes: number }): Wheel {
  const suffix = platform.startsWith("macosx") ? ".2.dylib" : ".so.2";
  return {
    ...{ package: name, version: VERSION, platform, ...pin },
    file: `${name.replaceAll("-", "_")}-${VERSION}-cp311-cp311-${platform}.whl`,
    members: ["framework", "cc"].map((part) => `tensorflow/libtensorflow_${part}${suffix}`),
  };
}

function cuda(name: string, version: string, pin: { sha256: string; megabytes: number; members: string[] }): Wheel {
  const platform = "manylinux2014_x86_64", folder = `nvidia/${name.replaceAll("-", "_")}/lib`;
  return {
    ...{ package: `nvidia-${name}-cu12`, version, platform, ...pin },
    file: `nvidia_${name.replaceAll("-", "_")}_cu12-${version}-py3-none-${platform}.whl`,
    members: pin.members.map((file) => `${folder}/${file}`),
  };
}

const cpu = (tested: boolean, wheel: Wheel): Bundle => ({ wheels: [wheel], tested });

/** The bundles by device, then by platform as `Deno.build.target` names it. */
export const BUNDLES: Record<Device, Record<string, Bundle>> = {
  cpu: {
    "x86_64-unknown-linux-gnu": cpu(
      true,
      tensorFlow("tensorflow-cpu", "manylinux_2_27_x86_64", {
        sha256: "2b847d217b02ee7731ed91431daf3250daa0196c3c94614d23be27232e6e5b6c",
        megabytes: 274,
      }),
    ),
    "aarch64-unknown-linux-gnu": cpu(
      false,
      tensorFlow("tensorflow", "manylinux_2_27_aarch64", {
        sha256: "4b24aca16d527a3cf1c37f720c04c484c3d20f4d0fdfa98632ac8b9f3be6eb5c",
        megabytes: 282,
      }),
    ),
    "aarch64-apple-darwin": cpu(
      false,
      tensorFlow("tensorflow", "macosx_12_0_arm64", {
        sha256: "51f46f4806139d01fc7920cc72a4c75876f80649bf40ff083ab6212ceb43ca88",
        megabytes: 223,
      }),
    ),
  },
  gpu: {
    // Of `tensorflow[and-cuda]` at its lowest versions, CUDA 12.5 and cuDNN 9.3, which TensorFlow is built with. Left out:
    // cupti (its profiler), curand (nothing opens it), nccl (several GPUs), nvcc (XLA).
    "x86_64-unknown-linux-gnu": {
      wheels: [
        tensorFlow("tensorflow", "manylinux_2_27_x86_64", {
          sha256: "9056fbc9ba04235810b71ae6cbd958a196e8804fb53bbcffbf3e23b56155f124",
          megabytes: 572,
        }),
        cuda("cuda-runtime", "12.5.82", {
          sha256: "3e79a060e126df40fd3a068f3f787eb000fa51b251ec6cd97d09579632687115",
          megabytes: 1,
          members: ["libcudart.so.12"],
        }),
        cuda("cublas", "12.5.3.2", {
          sha256: "ca070ad70e9fa6654084575d01bd001f30cc4665e33d4bb9fc8e0f321caa034b",
          megabytes: 363,
          members: ["libcublasLt.so.12", "libcublas.so.12"],
        }),
        cuda("cufft", "11.2.3.61", {
          sha256: "9a6e8df162585750f61983a638104a48c756aa13f9f48e19ab079b38e3c828b8",
          megabytes: 193,
          members: ["libcufft.so.11"],
        }),
        cuda("nvjitlink", "12.5.82", {
          sha256: "f9b37bc5c8cf7509665cb6ada5aaa0ce65618f2332b7d3e78e9790511f111212",
          megabytes: 21,
          members: ["libnvJitLink.so.12"],
        }),
        cuda("cusparse", "12.5.1.3", {
          sha256: "016df8e993c437e8301e62739f01775cba988fd5253cd4c64173f8e8d2f8e752",
          megabytes: 218,
          members: ["libcusparse.so.12"],
        }),
        cuda("cusolver", "11.6.3.83", {
          sha256: "93cfafacde4428b71778eeb092ec615a02a3d05404da1bcf91c53e3fa1bce42b",
          megabytes: 130,
          members: ["libcusolver.so.11"],
        }),
        cuda("cuda-nvrtc", "12.5.82", {
          sha256: "3dbd97b0104b4bfbc3c4f8c79cd2496307c89c43c29a9f83125f1d76296ff3fd",
          megabytes: 25,
          members: ["libnvrtc.so.12", "libnvrtc-builtins.so*"],
        }),
        cuda("cudnn", "9.3.0.75", {
          sha256: "9ad9c6929ebb5295eb4a1728024666d1c88283373e265a0c5c883e6f9d5cd76d",
          megabytes: 577,
          members: ["libcudnn.so.9", "libcudnn_*"],
        }),
      ],
      tested: false,
    },
  },
};

/**
 * The CUDA libraries that TensorFlow opens by name when it looks for a GPU, and what they open themselves; each behind
 * those it needs. Their places are the same in the cache and in Python's `tensorflow[and-cuda]`: beside `tensorflow/`.
 */
export const CUDA_FILES: string[] = BUNDLES.gpu["x86_64-unknown-linux-gnu"].wheels.slice(1)
  .flatMap(({ members }) => members.filter((name) => !name.endsWith("*")));

/**
 * CUDA 13's packages and which of their files serve under which of those names. TensorFlow is built for CUDA 12: this was
 * seen to work on one machine (H100; cuBLAS 13, cuDNN 9.19, cuFFT 12, cuSOLVER 12, cuSPARSE 12). The runtime must be 12's.
 */
export const CUDA_13: { package: string; files: Record<string, string> }[] = [
  {
    package: "nvidia-cublas",
    files: { "libcublasLt.so.12": "libcublasLt.so.13", "libcublas.so.12": "libcublas.so.13" },
  },
  { package: "nvidia-cufft", files: { "libcufft.so.11": "libcufft.so.12" } },
  { package: "nvidia-nvjitlink", files: { "libnvJitLink.so.12": "libnvJitLink.so.13" } },
  { package: "nvidia-cusparse", files: { "libcusparse.so.12": "libcusparse.so.12" } },
  { package: "nvidia-cusolver", files: { "libcusolver.so.11": "libcusolver.so.12" } },
  { package: "nvidia-cuda-nvrtc", files: { "libnvrtc.so.12": "libnvrtc.so.13" } },
  { package: "nvidia-cudnn-cu13", files: { "libcudnn.so.9": "libcudnn.so.9" } },
];
/** A folder in which TensorFlow's framework library looks for whatever it opens by name; not in cuSOLVER's own. */
export const SEARCHED_FOLDER = "nvidia/cublas/lib";

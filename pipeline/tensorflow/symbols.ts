/**
 * C prototypes of the TensorFlow functions that the binding calls.
 *
 * Source: `tensorflow/c/c_api.h`, `tensorflow/c/eager/c_api.h` (TensorFlow 2.21).
 * `P` is a pointer, `B` a buffer read during the call, `Z` a `size_t`.
 * @module
 */
const P = "pointer", I = "i32", V = "void", L = "i64", B = "buffer", Z = "usize";
/** `TF_Output { TF_Operation* oper; int index; }`, passed by value. */
const O = { struct: [P, I] } as const;

/** The functions exported by `libtensorflow_framework.so.2`: status, tensors, buffers. */
export const frameworkSymbols = {
  TF_NewStatus: { parameters: [], result: P },
  TF_GetCode: { parameters: [P], result: I },
  TF_SetStatus: { parameters: [P, I, B], result: V },
  TF_Message: { parameters: [P], result: P },
  TF_DeleteStatus: { parameters: [P], result: V },
  TF_AllocateTensor: { parameters: [I, B, I, Z], result: P },
  TF_TensorData: { parameters: [P], result: P },
  TF_TensorByteSize: { parameters: [P], result: Z },
  TF_TensorElementCount: { parameters: [P], result: L },
  TF_TensorType: { parameters: [P], result: I },
  TF_DeleteTensor: { parameters: [P], result: V },
  TF_LoadSharedLibrary: { parameters: [B, P], result: P },
  TF_NewBuffer: { parameters: [], result: P },
  TF_NewBufferFromString: { parameters: [B, Z], result: P },
  TF_DeleteBuffer: { parameters: [P], result: V },
} as const satisfies Deno.ForeignLibraryInterface;

/**
 * The functions exported by `libtensorflow_cc.so.2`: eager context, operations, graphs, functions, sessions, strings
 * (`libtensorflow.so.2` in the archives for C).
 */
export const runtimeSymbols = {
  TF_Version: { parameters: [], result: P },
  TF_StringInit: { parameters: [P], result: V },
  TF_StringCopy: { parameters: [P, B, Z], result: V },
  TF_StringGetDataPointer: { parameters: [P], result: P },
  TF_StringGetSize: { parameters: [P], result: Z },
  TFE_NewContextOptions: { parameters: [], result: P },
  TFE_DeleteContextOptions: { parameters: [P], result: V },
  TFE_ContextOptionsSetConfig: { parameters: [P, B, Z, P], result: V },
  TFE_NewContext: { parameters: [P, P], result: P },
  TFE_DeleteContext: { parameters: [P], result: V },
  TFE_ContextListDevices: { parameters: [P, P], result: P },
  TF_DeleteDeviceList: { parameters: [P], result: V },
  TF_DeviceListCount: { parameters: [P], result: I },
  TF_DeviceListName: { parameters: [P, I, P], result: P },
  TF_DeviceListType: { parameters: [P, I, P], result: P },
  TF_DeviceListMemoryBytes: { parameters: [P, I, P], result: L },
  TFE_NewTensorHandle: { parameters: [P, P], result: P },
  TFE_DeleteTensorHandle: { parameters: [P], result: V },
  TFE_TensorHandleCopyToDevice: { parameters: [P, P, B, P], result: P },
  TFE_TensorHandleDeviceName: { parameters: [P, P], result: P },
  TFE_TensorHandleResolve: { parameters: [P, P], result: P },
  TFE_TensorHandleDataType: { parameters: [P], result: I },
  TFE_TensorHandleNumDims: { parameters: [P, P], result: I },
  TFE_TensorHandleDim: { parameters: [P, I, P], result: L },
  TFE_NewOp: { parameters: [P, B, P], result: P },
  TFE_DeleteOp: { parameters: [P], result: V },
  TFE_OpAddInput: { parameters: [P, P, P], result: V },
  TFE_OpSetAttrInt: { parameters: [P, B, L], result: V },
  TFE_OpSetAttrIntList: { parameters: [P, B, B, I], result: V },
  TFE_OpSetAttrFloat: { parameters: [P, B, "f32"], result: V },
  TFE_OpSetAttrFloatList: { parameters: [P, B, B, I], result: V },
  TFE_OpSetAttrBool: { parameters: [P, B, "u8"], result: V },
  TFE_OpSetAttrType: { parameters: [P, B, I], result: V },
  TFE_OpSetAttrTypeList: { parameters: [P, B, B, I], result: V },
  TFE_OpSetAttrString: { parameters: [P, B, B, Z], result: V },
  TFE_OpSetAttrStringList: { parameters: [P, B, B, B, I], result: V },
  TFE_OpSetAttrShape: { parameters: [P, B, B, I, P], result: V },
  TFE_OpSetAttrFunctionName: { parameters: [P, B, B, Z], result: V },
  TFE_Execute: { parameters: [P, B, B, P], result: V },
  /** The one call that may take seconds, in a form that leaves the event loop free. */
  TFE_ExecuteElsewhere: { name: "TFE_Execute", parameters: [P, B, B, P], result: V, nonblocking: true },
  TFE_ContextAddFunction: { parameters: [P, P, P], result: V },
  TF_NewGraph: { parameters: [], result: P },
  TF_DeleteGraph: { parameters: [P], result: V },
  TF_NewOperation: { parameters: [P, B, B], result: P },
  TF_FinishOperation: { parameters: [P, P], result: P },
  TF_AddInput: { parameters: [P, O], result: V },
  TF_AddControlInput: { parameters: [P, P], result: V },
  TF_AddInputList: { parameters: [P, B, I], result: V },
  TF_SetAttrInt: { parameters: [P, B, L], result: V },
  TF_SetAttrIntList: { parameters: [P, B, B, I], result: V },
  TF_SetAttrFloat: { parameters: [P, B, "f32"], result: V },
  TF_SetAttrFloatList: { parameters: [P, B, B, I], result: V },
  TF_SetAttrBool: { parameters: [P, B, "u8"], result: V },
  TF_SetAttrType: { parameters: [P, B, I], result: V },
  TF_SetAttrString: { parameters: [P, B, B, Z], result: V },
  TF_SetAttrStringList: { parameters: [P, B, B, B, I], result: V },
  TF_SetAttrShape: { parameters: [P, B, B, I], result: V },
  TF_SetDevice: { parameters: [P, B], result: V },
  TF_SetAttrTensor: { parameters: [P, B, P, P], result: V },
  TF_GraphGetTensorNumDims: { parameters: [P, O, P], result: I },
  TF_GraphGetTensorShape: { parameters: [P, O, B, I, P], result: V },
  TF_OperationOutputType: { parameters: [O], result: I },
  TF_GraphToFunction: {
    parameters: [P, B, "u8", I, P, I, B, I, B, P, P, B, P],
    result: P,
  },
  TF_DeleteFunction: { parameters: [P], result: V },
  TF_NewSessionOptions: { parameters: [], result: P },
  TF_SetConfig: { parameters: [P, B, Z, P], result: V },
  TF_DeleteSessionOptions: { parameters: [P], result: V },
  TF_NewSession: { parameters: [P, P, P], result: P },
  TF_SessionRun: { parameters: [P, P, B, B, I, B, B, I, P, I, P, P], result: V, nonblocking: true },
  TF_DeleteSession: { parameters: [P, P], result: V },
} as const satisfies Deno.ForeignLibraryInterface;
